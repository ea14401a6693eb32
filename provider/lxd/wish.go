package lxd

import (
	"cmp"
	"runtime"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// This file decides and asks no one.

// A wish is what a request asks for, in LXD's words.
type wish struct {
	kind                string // client.Container or client.VM
	arch                string // of the kernel: x86_64
	base                string
	cores, memory, disk int // MiB
	pool, image         string
	zones               []string // any of them; none is anywhere
	group               string   // what it does, as others in its model that should be elsewhere
}

// archNames is LXD's names of architectures.
var archNames = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "i386": "i686", "ppc64el": "ppc64le", "riscv64": "riscv64", "s390x": "s390x"}

func ourArch(theirs string) string {
	for ours, name := range archNames {
		if name == theirs {
			return ours
		}
	}
	return theirs
}

func wishOf(req provider.StartRequest, s settings) (wish, error) {
	c := req.Constraints
	given := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	w := wish{kind: client.Container, base: cmp.Or(req.Base, "debian@12"), pool: cmp.Or(given(c.RootDiskSource), s.pool), image: given(c.ImageID), group: req.Group}
	if req.Controller == "" || req.Model == "" || req.Machine == "" {
		return w, refuse("the request names no controller, model or machine")
	}
	var ok bool
	if w.arch, ok = archNames[cmp.Or(given(c.Arch), runtime.GOARCH)]; !ok {
		return w, refuse("constraint arch=%s: LXD knows none of that name", given(c.Arch))
	}
	switch v := given(c.VirtType); v {
	case "", "lxd", client.Container:
	case "kvm", client.VM:
		w.kind = client.VM
	default:
		return w, refuse("constraint virt-type=%s: LXD has %s and %s", v, client.Container, client.VM)
	}
	for name, value := range map[string]string{"instance-type": given(c.InstanceType), "instance-role": given(c.InstanceRole)} {
		if value != "" {
			return w, refuse("constraint %s=%s: LXD has none; ask for cores, mem and root-disk", name, value)
		}
	}
	if v := given(c.Container); v != "" && v != "none" {
		return w, refuse("constraint container=%s: machines in LXD are containers themselves; ask for virt-type", v)
	}
	for name, value := range map[string]*[]string{"tags": c.Tags, "spaces": c.Spaces} {
		if value != nil && len(*value) > 0 {
			return w, refuse("constraint %s=%s: LXD has none", name, strings.Join(*value, ","))
		}
	}
	if c.AllocatePublicIP != nil && *c.AllocatePublicIP {
		return w, refuse("constraint allocate-public-ip=true: LXD has none to give; put machines in a network of yours with the cloud's config %s", keyNetwork)
	}
	if v := given(c.IPFamily); v != "" && v != "ipv4" && s.network == "" {
		return w, refuse("constraint ip-family=%s: our bridge has IPv4; name a network of yours with the cloud's config %s", v, keyNetwork)
	}
	for _, size := range []struct {
		to   *int
		from *int
	}{{&w.cores, c.Cores}, {&w.memory, c.MemoryMiB}, {&w.disk, c.RootDiskMiB}} {
		if size.from != nil {
			*size.to = *size.from
		}
	}
	if c.Zones != nil {
		w.zones = *c.Zones
	}
	return w, w.place(req.Placement)
}

// place reads what followed --to.
func (w *wish) place(placement string) error {
	zone, ok := strings.CutPrefix(placement, "zone=")
	switch {
	case placement == "":
	case !ok || zone == "":
		return refuse("placement %q: LXD understands zone=NAME", placement)
	case len(w.zones) > 0 && !slices.Contains(w.zones, zone):
		return refuse("placement zone=%s: the constraint says zones=%s", zone, strings.Join(w.zones, ","))
	default:
		w.zones = []string{zone}
	}
	return nil
}

// noZone is the failure domain of members for which nobody has said one.
const noZone = "default"

// zoneOf is where a member of a cluster is: its failure domain, or if it has none of its own, the member itself.
func zoneOf(m client.ClusterMember) string {
	if m.FailureDomain != "" && m.FailureDomain != noZone {
		return m.FailureDomain
	}
	return m.ServerName
}

// here says why the machine cannot be on a server that is in no cluster.
func (w wish) here(server string) error {
	if len(w.zones) > 0 && !slices.Contains(w.zones, server) {
		return refuse("zone %s: this LXD is no cluster, and its only zone is %s", strings.Join(w.zones, ","), server)
	}
	return nil
}

// choose is the member on which a new machine is to be: of those that can have it the one with the fewest of its model, and of those the
// one with the fewest. A member's own name is as good as its zone's.
func (w wish) choose(members []client.ClusterMember, load map[string]crowd) (string, error) {
	var fit []client.ClusterMember
	known := map[string]bool{}
	offline := false
	for _, m := range members {
		known[zoneOf(m)], known[m.ServerName] = true, true
		switch {
		case len(w.zones) > 0 && !slices.Contains(w.zones, zoneOf(m)) && !slices.Contains(w.zones, m.ServerName):
		case m.Architecture != w.arch:
		case m.Status != "Online":
			offline = true
		default:
			fit = append(fit, m)
		}
	}
	if len(fit) == 0 && offline {
		return "", transient("no member of LXD's cluster that could have the machine, with zone %s, is online", cmp.Or(strings.Join(w.zones, ","), "any"))
	}
	if len(fit) == 0 {
		var names []string
		for z := range known {
			names = append(names, z)
		}
		slices.Sort(names)
		return "", refuse("no member of the cluster has zone %s and arch %s; the zones are %s", cmp.Or(strings.Join(w.zones, ","), "any"), ourArch(w.arch), strings.Join(names, ", "))
	}
	zones := map[string]int{} // how many of the group each zone has
	for _, m := range members {
		zones[zoneOf(m)] += load[m.ServerName].group
	}
	best := slices.MinFunc(fit, func(a, b client.ClusterMember) int {
		la, lb := load[a.ServerName], load[b.ServerName]
		return cmp.Or(cmp.Compare(zones[zoneOf(a)], zones[zoneOf(b)]), cmp.Compare(la.group, lb.group), cmp.Compare(la.model, lb.model), cmp.Compare(la.all, lb.all), strings.Compare(a.ServerName, b.ServerName))
	})
	return best.ServerName, nil
}
