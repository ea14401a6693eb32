package machine

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/ram"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// shared is a World that several goroutines read.
type shared struct {
	mu    sync.Mutex
	world unit.World
}

func (s *shared) get() unit.World {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world
}

// set edits it and says whether that has changed anything.
func (s *shared) set(edit func(*unit.World)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := state.Encode(s.world)
	edit(&s.world)
	return !bytes.Equal(before, state.Encode(s.world))
}

func sameJSON(a, b any) bool { return bytes.Equal(state.Encode(a), state.Encode(b)) }

// signal sends a value that is not waited for and not sent twice.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// network is how the machine is reached: at the address that is its own, else at the one from which it reaches
// others, which are host:port.
func network(own string, others []string) unit.Network {
	if own != "" {
		return unit.Network{Public: own, Private: own, Interfaces: []hooks.Interface{{
			Name: "lo", MAC: "00:00:00:00:00:00", Addresses: []hooks.InterfaceAddress{{Value: own, CIDR: "127.0.0.0/8"}}}}}
	}
	n := unit.Network{Interfaces: interfaces()}
	for _, o := range others {
		if a := sourceTo(o); a != "" {
			n.Private = a
			break
		}
	}
	slices.SortStableFunc(n.Interfaces, func(a, b hooks.Interface) int { return order(b, n.Private) - order(a, n.Private) })
	if n.Private == "" && len(n.Interfaces) > 0 {
		n.Private = n.Interfaces[0].Addresses[0].Value
	}
	n.Public = n.Private
	return n
}

// public is the address by which the world reaches the machine: the first of its addresses that is no private one, which the machine
// itself may not know of, since its cloud translates it. Where it has none, it is the private one.
func public(private string, addresses []string) string {
	for _, text := range addresses {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() && a.IsGlobalUnicast() && !a.IsPrivate() {
			return text
		}
	}
	return private
}

// order puts the interface with the address first.
func order(i hooks.Interface, address string) int {
	if slices.ContainsFunc(i.Addresses, func(a hooks.InterfaceAddress) bool { return a.Value == address }) {
		return 1
	}
	return 0
}

// sourceTo is the address from which packets to host:port leave. None is sent.
func sourceTo(hostPort string) string {
	c, err := net.Dial("udp", hostPort)
	if err != nil {
		return ""
	}
	defer c.Close()
	a, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok || a.IP.IsLoopback() {
		return ""
	}
	return a.IP.String()
}

// interfaces is the interfaces that are up, with addresses by which others may reach the machine.
func interfaces() []hooks.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []hooks.Interface
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || ofContainers(i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		own := hooks.Interface{Name: i.Name, MAC: i.HardwareAddr.String()}
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
				cidr := (&net.IPNet{IP: ip.IP.Mask(ip.Mask), Mask: ip.Mask}).String()
				own.Addresses = append(own.Addresses, hooks.InterfaceAddress{Value: ip.IP.String(), CIDR: cidr})
			}
		}
		if len(own.Addresses) > 0 {
			out = append(out, own)
		}
	}
	return out
}

// ofContainers says whether an interface is the bridge of containers on this machine, which nobody but they and we reach.
func ofContainers(name string) bool { return strings.HasPrefix(name, "gri-") || name == "lxdbr0" }

// egress is from where the machine's packets come: as the model says, else from its own address.
func egress(settings state.ModelConfig, n unit.Network) []string {
	if s := settings["egress-subnets"]; s != "" {
		var out []string
		for part := range strings.SplitSeq(s, ",") {
			out = append(out, strings.TrimSpace(part))
		}
		return out
	}
	ip := net.ParseIP(n.Private)
	switch {
	case ip == nil:
		return nil
	case ip.To4() != nil:
		return []string{n.Private + "/32"}
	}
	return []string{n.Private + "/128"}
}

// describe is what the machine is, and what its sshd is known by. A machine that shares its host's is reached without.
func (m *machine) describe(n unit.Network) state.MachineReport {
	r := describe(n)
	if m.Bin != "" {
		r.HostKeys = hostKeys(sshDir)
	}
	return r
}

// describe is what the machine is, as far as it knows itself.
func describe(n unit.Network) state.MachineReport {
	name, _ := os.Hostname()
	r := state.MachineReport{Hostname: name, Hardware: provider.Hardware{Arch: runtime.GOARCH, Cores: runtime.NumCPU(), MemoryMiB: ram.MiB()}}
	routes, _ := os.ReadFile("/proc/net/route")
	for _, i := range n.Interfaces {
		l := state.Link{Name: i.Name, MAC: i.MAC, Gateway: gateway(string(routes), i.Name)}
		for _, a := range i.Addresses {
			l.Addresses = append(l.Addresses, a.Value)
		}
		r.Links = append(r.Links, l)
		r.Addresses = append(r.Addresses, l.Addresses...)
	}
	r.Base = base()
	return r
}

// gateway is where packets to everywhere go by the interface, as the kernel's table of routes says; empty: nowhere.
func gateway(routes, name string) string {
	for line := range strings.Lines(routes) {
		f := strings.Fields(line) // Iface Destination Gateway Flags ... Mask
		if len(f) < 8 || f[0] != name || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		n, err := strconv.ParseUint(f[2], 16, 32)
		if err != nil || n == 0 {
			continue
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b).String()
	}
	return ""
}

// base is the system that runs here.
func base() charm.Base {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return charm.Base{}
	}
	var b charm.Base
	for line := range strings.SplitSeq(string(text), "\n") {
		k, v, _ := strings.Cut(line, "=")
		switch v = strings.Trim(v, `"'`); k {
		case "ID":
			b.Name = v
		case "VERSION_ID":
			b.Channel = v
		}
	}
	return b
}
