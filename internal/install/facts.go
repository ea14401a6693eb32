package install

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// facts is what a host says of itself.
type facts struct {
	Arch       string // as Go names it
	Now        time.Time
	Addresses  []string // the first is the one of the route to the world
	DiskMiB    int      // free, where the controller's data is to be
	MemoryMiB  int      // available
	Java       bool
	ZooKeeper  bool
	Apt        bool
	Controller bool     // there is one already
	Residue    []string // directories of agents in which there is something
	Begun      bool     // or somebody makes one, or has not come to the end of it
}

func parse(text string) facts {
	var f facts
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(value) // zero is not known
		switch key {
		case "arch":
			f.Arch = goArch(value)
		case "now":
			if n > 0 {
				f.Now = time.Unix(int64(n), 0)
			}
		case "address":
			if a, err := netip.ParseAddr(value); err == nil && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !slices.Contains(f.Addresses, value) {
				f.Addresses = append(f.Addresses, value)
			}
		case "disk":
			f.DiskMiB = n >> 10
		case "memory":
			f.MemoryMiB = n >> 10
		case "java":
			f.Java = true
		case "zookeeper":
			f.ZooKeeper = true
		case "apt":
			f.Apt = true
		case "residue":
			f.Residue = append(f.Residue, value)
		case "begun":
			f.Begun = true
		case "controller":
			f.Controller = true
		}
	}
	return f
}

func goArch(machine string) string {
	names := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
	if name, ok := names[machine]; ok {
		return name
	}
	return machine
}

// What a controller needs at least.
const (
	needDiskMiB   = 1024
	needMemoryMiB = 384
	clockSkew     = time.Minute
)

// refuse says why the host will not do, and what can be done about it.
func (f facts) refuse(c Config) error {
	ask := func(constraint string) string { // what can be done where instances are to be had
		if c.Definition.Manual != "" {
			return "use another host"
		}
		return "ask for more with --bootstrap-constraints " + constraint
	}
	skew := time.Duration(0)
	if !f.Now.IsZero() {
		skew = f.Now.Sub(c.Now()).Round(time.Second)
	}
	switch {
	case f.Controller:
		return fmt.Errorf("there is a controller in %s already: destroy it first", Data)
	case f.Begun:
		return fmt.Errorf("somebody makes a controller there, or did and was interrupted: if nobody does, kill that controller, or remove %s and %s", base, Programs)
	case len(f.Residue) > 0:
		return fmt.Errorf("there is something in %s, where agents keep what is theirs: if the host is a machine of another controller, remove it there first, and otherwise move that away", strings.Join(f.Residue, " and in "))
	case f.Arch != c.Arch:
		return fmt.Errorf("its processor is %s and the programs are for %s: put grigrid, grigri-agent and hooktool for %s beside the client, or choose another machine with --bootstrap-constraints arch=%s", f.Arch, c.Arch, f.Arch, c.Arch)
	case skew > clockSkew || skew < -clockSkew:
		return fmt.Errorf("its clock is off by %s from this one, and certificates would not be valid: set it, for instance with \"timedatectl set-ntp true\"", skew)
	case f.DiskMiB > 0 && f.DiskMiB < needDiskMiB:
		return fmt.Errorf("it has %d MiB free on its disk and needs %d: make room, or %s", f.DiskMiB, needDiskMiB, ask("root-disk=8G"))
	case f.MemoryMiB > 0 && f.MemoryMiB < needMemoryMiB:
		return fmt.Errorf("it has %d MiB of memory free and needs %d: %s", f.MemoryMiB, needMemoryMiB, ask("mem=2G"))
	case (!f.Java || !f.ZooKeeper) && !f.Apt:
		return fmt.Errorf("it has no Java or no ZooKeeper, and no apt to install them with: use an image that has them, or Debian or Ubuntu")
	}
	return nil
}

// own is the address of the host's own interfaces that others reach it by: one of those at which it is known to be reached, or the
// one of its route to the world.
func (f facts) own(known []string) string {
	for _, a := range known {
		if slices.Contains(f.Addresses, a) {
			return a
		}
	}
	if len(f.Addresses) > 0 {
		return f.Addresses[0]
	}
	return ""
}
