package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/state"
)

// A hookRun is one run of one hook of the charm counter, by its own word.
type hookRun struct {
	n                             int // as the tree had it when the hook ran: how many hooks were committed before
	hook, relation, remote, heard string
	ended                         bool
}

// A diary is all that the hooks of one unit have said, oldest first.
type diary []hookRun

func readDiary(dir string, u state.UnitName) (diary, error) {
	data, err := os.ReadFile(filepath.Join(dir, u.Node()))
	if err != nil {
		return nil, err
	}
	var d diary
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			return nil, fmt.Errorf("the diary of %s has the line %q", u, line)
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			return nil, err
		}
		r := hookRun{n: n, hook: f[2], relation: f[3], remote: f[4], heard: f[5]}
		switch {
		case f[0] == "begin":
			d = append(d, r)
		case len(d) == 0 || d[len(d)-1] != r:
			return nil, fmt.Errorf("the diary of %s has the end of a hook that did not begin: %q", u, line)
		default:
			d[len(d)-1].ended = true
		}
	}
	return d, nil
}

// check says what is wrong with the diary of a unit whose agent was killed so many times, when the tree says
// that n hooks were committed. What it proves:
//   - no committed effect is lost: the number in the tree never falls, and no run finds a number that another has counted past;
//   - none is done twice: a hook that was committed does not run again, so install, start, joined and each value of
//     the settings are committed once;
//   - a hook runs again only because its agent was killed.
func (d diary) check(n, kills int) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	at := 0
	for i, r := range d {
		if r.n != at && r.n != at+1 || i == 0 && r.n != 0 {
			say("run %d, %s, finds the number %d after %d", i, r.hook, r.n, at)
		}
		at = r.n
	}
	committed := d.committed()
	if len(committed) != n {
		say("%d hooks were committed, and the tree says %d", len(committed), n)
	}
	if again := len(d) - len(committed); again > kills {
		say("%d hooks ran again, and the agent was killed %d times only", again, kills)
	}
	once := map[string]int{}
	for i, r := range committed {
		if !r.ended {
			say("%s, the hook number %d, was committed and did not end", r.hook, i)
		}
		switch kind := r.hook; {
		case kind == "install", kind == "start", kind == "stop", kind == "remove", kind == "config-changed",
			strings.HasSuffix(kind, "-created"), strings.HasSuffix(kind, "-joined"), strings.HasSuffix(kind, "-departed"), strings.HasSuffix(kind, "-broken"):
			if kind != "config-changed" {
				r.heard = ""
			}
			key := fmt.Sprint(kind, " ", r.relation, " ", r.remote, " ", r.heard)
			if once[key]++; once[key] > 1 {
				say("%s was committed %d times", strings.TrimSpace(key), once[key])
			}
		}
	}
	return wrong
}

// committed is the runs whose effects are in the tree: the last of those that found the same number.
func (d diary) committed() diary {
	var out diary
	for i, r := range d {
		if i+1 == len(d) || d[i+1].n != r.n {
			out = append(out, r)
		}
	}
	return out
}

// settings is what the unit has last put into each relation.
func (d diary) settings() map[string]int {
	out := map[string]int{}
	for _, r := range d.committed() {
		switch {
		case strings.HasSuffix(r.hook, "-relation-created"):
			out[r.relation] = r.n + 1
		case strings.HasSuffix(r.hook, "-relation-broken"):
			delete(out, r.relation)
		case r.hook == "config-changed":
			for id := range out {
				out[id] = r.n + 1
			}
		}
	}
	return out
}

// heard is what the unit has last heard of each related unit that has not left, by "relation unit".
func (d diary) heard() map[string]int {
	out := map[string]int{}
	for _, r := range d.committed() {
		key := r.relation + " " + r.remote
		switch {
		case strings.HasSuffix(r.hook, "-relation-changed") && r.remote != "-":
			out[key], _ = strconv.Atoi(r.heard)
		case strings.HasSuffix(r.hook, "-relation-departed"):
			delete(out, key)
		}
	}
	return out
}

// configs is the values of the setting that config-changed has seen.
func (d diary) configs() []string {
	var out []string
	for _, r := range d.committed() {
		if r.hook == "config-changed" {
			out = append(out, r.heard)
		}
	}
	return slices.Clip(out)
}
