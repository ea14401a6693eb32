package status

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// TabularOptions says how WriteTabular writes.
type TabularOptions struct {
	Color     bool
	Relations bool // also the table of relations
	Storage   bool // also that of storage
}

// The limits of long cells.
const (
	maxMessage = 120
	maxVersion = 15
)

// WriteTabular writes the tables that people read. The times of r are as they are to be shown: see In.
func WriteTabular(w io.Writer, r Report, o TabularOptions) error {
	s := r.Status
	tables := []Table{header(s), applications(s), units(s), machines(s)}
	if o.Relations {
		tables = append(tables, relations(r.Relations))
	}
	if o.Storage {
		tables = append(tables, storageTable(s.Storage))
	}
	return WriteTables(w, o.Color, tables...)
}

// WriteMachines writes the table of machines alone.
func WriteMachines(w io.Writer, s Status, color bool) error {
	t := machines(s)
	if len(t.Rows) == 0 {
		return nil
	}
	return WriteTables(w, color, t)
}

func plain(text string) Cell { return Cell{Text: text} }
func word(text string) Cell  { return Cell{text, Paint(text)} }
func grey(text string) Cell  { return Cell{cut(text, maxMessage), Grey} }

func header(s Status) Table {
	t := Table{Header: []string{"Model", "Controller", "Cloud/Region", "Version", "Timestamp"}}
	place := s.Model.Cloud
	if s.Model.Region != "" {
		place += "/" + s.Model.Region
	}
	row := []Cell{plain(s.Model.Name), plain(s.Model.Controller), plain(place), plain(s.Model.Version), {s.Controller.Timestamp, Cyan}}
	if m := s.Model.Status.Message; m != "" {
		t.Header = append(t.Header, "Notes")
		row = append(row, grey(m))
	}
	t.Add(row...)
	return t
}

func applications(s Status) Table {
	t := Table{Header: []string{"App", "Version", "Status", "Scale", "Charm", "Channel", "Rev", "Exposed", "Message"}, Right: []int{3, 6}}
	have, want := scales(s)
	for _, name := range natural(maps.Keys(s.Applications)) {
		a := s.Applications[name]
		scale := plain(strconv.Itoa(want[name]))
		if have[name] < want[name] {
			scale = Cell{fmt.Sprintf("%d/%d", have[name], want[name]), Yellow}
		}
		exposed := "no"
		if a.Exposed {
			exposed = "yes"
		}
		version, _, _ := strings.Cut(a.Version, "\n")
		t.Add(plain(string(name)), plain(cut(version, maxVersion)), word(a.Status.Current), scale, plain(a.CharmName), plain(""),
			plain(strconv.Itoa(a.CharmRev)), plain(exposed), message(a.Status))
	}
	return t
}

// scales counts, for each application, its units and those that do their work.
func scales(s Status) (have, want map[state.ApplicationName]int) {
	have, want = map[state.ApplicationName]int{}, map[state.ApplicationName]int{}
	var count func(map[state.UnitName]Unit)
	count = func(units map[state.UnitName]Unit) {
		for name, u := range units {
			want[name.Application()]++
			if (u.Agent.Current == "idle" || u.Agent.Current == "executing") && u.Workload.Current != "terminated" {
				have[name.Application()]++
			}
			count(u.Subordinates)
		}
	}
	for _, a := range s.Applications {
		count(a.Units)
	}
	return have, want
}

func units(s Status) Table {
	t := Table{Header: []string{"Unit", "Workload", "Agent", "Machine", "Public address", "Ports", "Message"}}
	for _, app := range natural(maps.Keys(s.Applications)) {
		addUnits(&t, s.Applications[app].Units, "")
	}
	return t
}

func addUnits(t *Table, units map[state.UnitName]Unit, indent string) {
	for _, name := range natural(maps.Keys(units)) {
		u := units[name]
		shown := indent + string(name)
		if u.Leader {
			shown += "*"
		}
		t.Add(plain(shown), word(u.Workload.Current), word(u.Agent.Current), Cell{string(u.Machine), Magenta},
			Cell{u.PublicAddress, Cyan}, Cell{groupPorts(u.OpenPorts), Magenta}, unitMessage(u))
		addUnits(t, u.Subordinates, indent+"  ")
	}
}

// unitMessage is what the workload says, with what the agent is doing before it.
func unitMessage(u Unit) Cell {
	text := u.Workload.Message
	switch {
	case u.Agent.Current == "executing" && u.Agent.Message != "":
		doing := strings.TrimSuffix(strings.TrimPrefix(u.Agent.Message, "running "), " hook")
		text = strings.TrimSpace("(" + doing + ") " + text)
	case u.Agent.Current == "allocating" && text == "":
		text = u.Agent.Message
	}
	c := grey(text)
	if u.Workload.Current == "error" {
		c.Color = Red
	}
	return c
}

func message(i Info) Cell {
	c := grey(i.Message)
	if i.Current == "error" {
		c.Color = Red
	}
	return c
}

// groupPorts is "80,443/tcp 53/udp" of 80/tcp, 443/tcp and 53/udp.
func groupPorts(open []string) string {
	ranges := make([]provider.PortRange, 0, len(open))
	for _, text := range open {
		if p, err := provider.ParsePort(text); err == nil {
			ranges = append(ranges, p)
		}
	}
	return provider.GroupPorts(ranges)
}

func machines(s Status) Table {
	t := Table{Header: []string{"Machine", "State", "Address", "Inst id", "Base", "AZ", "Message"}}
	addMachines(&t, s.Machines)
	return t
}

func addMachines(t *Table, all map[state.MachineID]Machine) {
	for _, id := range natural(maps.Keys(all)) {
		m := all[id]
		agent, instance := m.Agent.Current, m.InstanceID
		if m.DisplayName != "" {
			instance = m.DisplayName
		}
		text := m.Instance.Message
		if m.Modification.Current == "error" {
			agent, text = "error", m.Modification.Message
		}
		zone := ""
		for _, part := range strings.Fields(m.Hardware) {
			if z, ok := strings.CutPrefix(part, "availability-zone="); ok {
				zone = z
			}
		}
		t.Add(Cell{string(id), Magenta}, word(agent), Cell{m.DNSName, Cyan}, plain(instance), plain(m.Base.String()), plain(zone), grey(text))
		addMachines(t, m.Containers)
	}
}

func relations(all []Relation) Table {
	t := Table{Header: []string{"Relation provider", "Requirer", "Interface", "Type", "Message"}}
	for _, r := range all {
		text := ""
		if r.Status.Current != "joined" {
			text = r.Status.Current
			if r.Status.Message != "" {
				text += "  " + r.Status.Message
			}
		}
		t.Add(Cell{r.Provider, Magenta}, Cell{r.Requirer, Magenta}, plain(r.Interface), plain(r.Type), grey(text))
	}
	return t
}

// cut is text, of n runes at most.
func cut(text string, n int) string {
	text, _, _ = strings.Cut(text, "\n")
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-3]) + "..."
}

func natural[K ~string](keys func(func(K) bool)) []K {
	return slices.SortedFunc(keys, func(a, b K) int { return CompareNatural(string(a), string(b)) })
}
