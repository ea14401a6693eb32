package status

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// WriteOneline writes one line a unit.
func WriteOneline(w io.Writer, s Status) error {
	var out strings.Builder
	for _, app := range natural(maps.Keys(s.Applications)) {
		oneline(&out, s.Applications[app].Units, "")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func oneline(out *strings.Builder, units map[state.UnitName]Unit, indent string) {
	for _, name := range natural(maps.Keys(units)) {
		u := units[name]
		line := fmt.Sprintf("%s- %s: %s (agent:%s, workload:%s) %s", indent, name, u.PublicAddress, u.Agent.Current, u.Workload.Current, groupPorts(u.OpenPorts))
		out.WriteString(strings.TrimRight(line, " ") + "\n")
		oneline(out, u.Subordinates, indent+"  ")
	}
}

// WriteSummary writes how many there are of each, and how they are.
func WriteSummary(w io.Writer, s Status) error {
	machines, workloads := map[string]int{}, map[string]int{}
	networks := map[string]bool{}
	var open []provider.PortRange
	for _, m := range s.Machines {
		machines[m.Agent.Current]++
		for _, a := range m.IPAddresses {
			if n := network(a); n != "" {
				networks[n] = true
			}
		}
	}
	var count func(map[state.UnitName]Unit)
	count = func(units map[state.UnitName]Unit) {
		for _, u := range units {
			workloads[u.Workload.Current]++
			for _, text := range u.OpenPorts {
				if p, err := provider.ParsePort(text); err == nil {
					open = append(open, p)
				}
			}
			count(u.Subordinates)
		}
	}
	applications := Table{}
	_, want := scales(s)
	for _, name := range natural(maps.Keys(s.Applications)) {
		count(s.Applications[name].Units)
		exposed := 0
		if s.Applications[name].Exposed {
			exposed = want[name]
		}
		applications.Add(plain(string(name)), plain(fmt.Sprintf("%d/%d", exposed, want[name])), plain("exposed"))
	}
	units := 0
	for _, n := range workloads {
		units += n
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s  %s\n", "Running on subnets:", strings.Join(slices.Sorted(maps.Keys(networks)), ", "))
	fmt.Fprintf(&out, "%s  %s\n", " Utilizing ports:  ", provider.GroupPorts(open))
	block(&out, "# Machines:", len(s.Machines), counts(machines))
	block(&out, "# Units:", units, counts(workloads))
	block(&out, "# Applications:", len(s.Applications), applications.Rows)
	_, err := io.WriteString(w, out.String())
	return err
}

func counts(of map[string]int) [][]Cell {
	var rows [][]Cell
	for _, name := range slices.Sorted(maps.Keys(of)) {
		rows = append(rows, []Cell{plain(name + ":"), plain(fmt.Sprint(of[name]))})
	}
	return rows
}

// block writes a title with its number, and rows whose first cells end where the title does.
func block(out *strings.Builder, title string, n int, rows [][]Cell) {
	fmt.Fprintf(out, "%19s  (%d)\n", title, n)
	for _, row := range rows {
		fmt.Fprintf(out, "%19s", row[0].Text)
		for _, c := range row[1:] {
			fmt.Fprintf(out, "  %s", c.Text)
		}
		out.WriteByte('\n')
	}
	out.WriteByte('\n')
}

// network is the subnet that an address is most likely on.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
