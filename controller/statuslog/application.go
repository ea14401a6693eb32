package statuslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/state"
)

// Units is what is kept of each unit of the application, also of those that are gone.
func (s *Store) Units(m state.ModelID, a state.ApplicationName) (map[state.UnitName][]Entry, error) {
	dir, err := s.dir(m)
	if err != nil {
		return nil, err
	}
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find the statuses of the units of %s of model %s: %w", a, m, err)
	}
	out := map[state.UnitName][]Entry{}
	for _, name := range names {
		tag, _ := strings.CutSuffix(name.Name(), suffix)
		node, _ := strings.CutPrefix(tag, "unit-")
		if u := state.UnitOfNode(node); u.Application() == a && u.Tag()+suffix == name.Name() {
			if out[u], err = s.Read(m, u.Tag()); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// ApplicationStory is what an application has been: as its leader has said, and before that as the unit that was worst off.
func ApplicationStory(own []Entry, units map[state.UnitName][]Entry) []Entry {
	var out []Entry
	for _, e := range worst(units) {
		if len(own) == 0 || e.Since.Before(own[0].Since) {
			out = append(out, e)
		}
	}
	return append(out, own...)
}

// An event is a status of a unit.
type event struct {
	unit state.UnitName
	Entry
}

// A tally is the units that are alike badly off.
type tally struct {
	units map[state.UnitName]state.StatusInfo
	last  state.UnitName // the one that came last, as long as it is one of them
}

// worst is how the unit that was worst off was, at each time.
func worst(units map[state.UnitName][]Entry) []Entry {
	var events []event
	for u, entries := range units {
		for _, e := range entries {
			events = append(events, event{u, e})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.Since.Compare(b.Since) })
	said, failed := map[state.UnitName]state.StatusInfo{}, map[state.UnitName]state.StatusInfo{}
	ranks, at := map[int]*tally{}, map[state.UnitName]int{}
	var out []Entry
	for _, e := range events {
		switch {
		case e.Type == state.StatusOfWorkload:
			said[e.unit] = e.StatusInfo
		case e.Type == state.StatusOfAgent && e.Status == "error":
			failed[e.unit] = e.StatusInfo
		case e.Type == state.StatusOfAgent && e.Status != "executing": // a try of the hook that has failed does not end the failure
			delete(failed, e.unit)
		}
		if t := ranks[at[e.unit]]; t != nil {
			delete(t.units, e.unit)
		}
		now, known := failed[e.unit]
		if !known {
			now, known = said[e.unit]
		}
		if known && said[e.unit].Status != "terminated" {
			r := status.Severity(now.Status)
			if ranks[r] == nil {
				ranks[r] = &tally{units: map[state.UnitName]state.StatusInfo{}}
			}
			ranks[r].units[e.unit], ranks[r].last, at[e.unit] = now, e.unit, r
		}
		is := state.StatusInfo{Status: "unknown"}
		for r := range status.Severity("") + 1 {
			if t := ranks[r]; t != nil && len(t.units) > 0 {
				is = t.one()
				break
			}
		}
		if len(out) == 0 || !out[len(out)-1].Same(is) {
			is.Since = e.Since
			out = append(out, Entry{StatusRecord: state.StatusRecord{StatusInfo: is, Type: state.StatusOfApplication}})
		}
	}
	return out
}

// one is one of them, the same as before where that can be.
func (t *tally) one() state.StatusInfo {
	if _, ok := t.units[t.last]; !ok {
		for t.last = range t.units {
			break
		}
		for u := range t.units {
			if state.CompareUnits(u, t.last) < 0 {
				t.last = u
			}
		}
	}
	return t.units[t.last]
}
