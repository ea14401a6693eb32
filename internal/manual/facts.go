// Package manual brings hosts that users have into a model over ssh, and out of it again: it finds out what a host is, says whether
// it will do, and runs the init script there.
package manual

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

//go:embed facts.sh
var factsScript string

// Facts is what a host says of itself.
type Facts struct {
	Hostname  string
	System    string // Linux
	Name      string // of the operating system, as its vendor writes it
	Base      charm.Base
	Addresses []string
	Hardware  provider.Hardware
	RoomMiB   int      // free where agents keep what is theirs
	Agents    []string // machines that have an agent there: machine-3
	Begun     []string // machines that somebody has begun to make of it, and was interrupted: 3
	Residue   []string // directories of agents in which there is something else
	Missing   []string // programs that the init script needs
	Reached   []string // those of the addresses it was asked for that it can connect to
}

// Look finds out what the host is. Reach is addresses, host:port, that it should be able to connect to.
func Look(ctx context.Context, h provider.Host, reach []string) (Facts, error) {
	var out strings.Builder
	if err := h.Run(ctx, "reach='"+strings.ReplaceAll(strings.Join(reach, " "), "'", "")+"'\n"+factsScript, &out); err != nil {
		return Facts{}, fmt.Errorf("find out what the host is: %w", err)
	}
	return parse(out.String()), nil
}

func parse(text string) Facts {
	var f Facts
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value == "" {
			continue
		}
		n, _ := strconv.Atoi(value) // zero is not known
		switch key {
		case "system":
			f.System = value
		case "arch":
			f.Hardware.Arch = arch(value)
		case "hostname":
			f.Hostname = value
		case "cores":
			f.Hardware.Cores = n
		case "memory":
			f.Hardware.MemoryMiB = n >> 10
		case "disk":
			f.Hardware.DiskMiB = n >> 10
		case "room":
			f.RoomMiB = n >> 10
		case "id":
			f.Base.Name = value
		case "version":
			f.Base.Channel = value
		case "name":
			f.Name = value
		case "address":
			f.Addresses = append(f.Addresses, value)
		case "agent":
			f.Agents = append(f.Agents, value)
		case "begun":
			f.Begun = append(f.Begun, value)
		case "residue":
			f.Residue = append(f.Residue, value)
		case "missing":
			f.Missing = append(f.Missing, value)
		case "reached":
			f.Reached = append(f.Reached, value)
		}
	}
	return f
}

// arch is the architecture as constraints name it.
func arch(machine string) string {
	names := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "i686": "i386", "ppc64le": "ppc64el"}
	if name, ok := names[machine]; ok {
		return name
	}
	return machine
}

// Bases is the operating systems on which machines can be.
func Bases() []string { return []string{"debian", "ubuntu"} }

// needRoomMiB is what an agent and the agent that it is replaced by need.
const needRoomMiB = 128

// Refuse says why the host will not do, and what its user can do; nil if it will.
func (f Facts) Refuse() error {
	switch {
	case f.System != "Linux":
		return fmt.Errorf("it runs %s: machines must run Linux", f.System)
	case !slices.Contains(Bases(), f.Base.Name):
		name := f.Name
		if name == "" {
			name = "an unknown system"
		}
		return fmt.Errorf("it runs %s: machines must run one of: %s", name, strings.Join(Bases(), ", "))
	case len(f.Agents) > 0:
		return fmt.Errorf("machine is already provisioned: it has the agent of %s: remove that machine from its model first", strings.Join(f.Agents, ", "))
	case len(f.Residue) > 0:
		return fmt.Errorf("there is something in %s, where agents keep what is theirs: move it away first", strings.Join(f.Residue, " and in "))
	case f.RoomMiB > 0 && f.RoomMiB < needRoomMiB:
		return fmt.Errorf("it has %d MiB free in /var/lib, and an agent needs %d: make room", f.RoomMiB, needRoomMiB)
	case len(f.Missing) > 0:
		return fmt.Errorf("it lacks %s: install what is missing", strings.Join(f.Missing, ", "))
	}
	return nil
}
