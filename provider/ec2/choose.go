package ec2

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/provider"
)

// This file decides and asks no one.

// A wish is what a request asks for, in EC2's words.
type wish struct {
	arch                    string // amd64 or arm64
	base                    string
	cores, memory           int // MiB
	disk                    int // GiB of the root disk; 0: the image's
	diskType                string
	typeName, imageID, role string // or ""
	zones                   []string
	subnet                  string // id, name or CIDR
	public                  *bool
	ipv6                    bool
}

// What a machine has at least when nothing is said about its size: an agent, hooks and a small service run in it.
const defaultMemory = 2048

func wishOf(req provider.StartRequest, arch, diskType string) (wish, error) {
	c := req.Constraints
	given := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	w := wish{arch: cmp.Or(given(c.Arch), arch), base: req.Base, diskType: cmp.Or(given(c.RootDiskSource), diskType), typeName: given(c.InstanceType),
		imageID: given(c.ImageID), role: given(c.InstanceRole), public: c.AllocatePublicIP}
	if req.Controller == "" || req.Model == "" || req.Machine == "" {
		return w, refused("the request names no controller, model or machine")
	}
	if _, ok := archNames[w.arch]; !ok {
		return w, refused("constraint arch=%s: EC2 has amd64 and arm64", w.arch)
	}
	if v := given(c.VirtType); v != "" && v != "hvm" {
		return w, refused("constraint virt-type=%s: EC2 has hvm", v)
	}
	if v := given(c.Container); v != "" && v != "none" {
		return w, refused("constraint container=%s: EC2 has no containers", v)
	}
	if c.Spaces != nil && len(*c.Spaces) > 0 {
		return w, refused("constraint spaces=%s: choose a subnet with --to subnet=ID, or those of all machines with the cloud's config subnets", strings.Join(*c.Spaces, ","))
	}
	if w.role == "auto" {
		return w, refused("constraint instance-role=auto: name an instance profile")
	}
	if f := given(c.IPFamily); f == "ipv6" {
		return w, refused("constraint ip-family=ipv6: machines in EC2 have IPv4; ask for dual to have both")
	} else {
		w.ipv6 = f == "dual"
	}
	if c.Cores != nil {
		w.cores = *c.Cores
	}
	switch {
	case c.MemoryMiB != nil:
		w.memory = *c.MemoryMiB
	case w.typeName == "":
		w.memory = defaultMemory
	}
	if c.RootDiskMiB != nil {
		w.disk = (*c.RootDiskMiB + 1023) / 1024
	}
	if c.Zones != nil {
		w.zones = *c.Zones
	}
	return w, w.place(req.Placement)
}

// place reads what followed --to.
func (w *wish) place(placement string) error {
	key, value, _ := strings.Cut(placement, "=")
	switch {
	case placement == "":
	case key == "zone" && value != "":
		if len(w.zones) > 0 && !slices.Contains(w.zones, value) {
			return refused("placement zone=%s: the constraint says zones=%s", value, strings.Join(w.zones, ","))
		}
		w.zones = []string{value}
	case key == "subnet" && value != "":
		w.subnet = value
	default:
		return refused("placement %q: EC2 understands zone=NAME and subnet=ID", placement)
	}
	return nil
}

// archNames is EC2's names of architectures.
var archNames = map[string]string{"amd64": "x86_64", "arm64": "arm64"}

func ourArch(theirs string) string {
	for ours, name := range archNames {
		if name == theirs {
			return ours
		}
	}
	return theirs
}

// A machineType is an instance type.
type machineType struct {
	name   string
	arches []string // ours
	cores  int
	memory int // MiB
	nitro  bool
}

// fitting returns the types that have all that is wished, the cheapest first. When one is asked for by name, all is that one.
func (w wish) fitting(all []machineType) ([]machineType, error) {
	if w.typeName != "" {
		if !slices.Contains(all[0].arches, w.arch) {
			return nil, refused("constraint instance-type=%s: it is %s, not %s: ask for that with the constraint arch", w.typeName, strings.Join(all[0].arches, ", "), w.arch)
		}
		return all, nil
	}
	var out []machineType
	for _, t := range all {
		family, size, _ := strings.Cut(t.name, ".")
		special := strings.HasPrefix(family, "mac") || strings.HasPrefix(size, "metal") // macs need hosts of their own
		if !special && slices.Contains(t.arches, w.arch) && t.cores >= w.cores && t.memory >= w.memory {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		return nil, refused("no instance type of this region has arch=%s cores=%d mem=%dM", w.arch, w.cores, w.memory)
	}
	slices.SortFunc(out, func(a, b machineType) int {
		pa, ka := price(a)
		pb, kb := price(b)
		if ka != kb {
			return map[bool]int{true: -1, false: 1}[ka]
		}
		return cmp.Or(cmp.Compare(pa, pb), -cmp.Compare(a.memory, b.memory), -cmp.Compare(a.cores, b.cores), strings.Compare(a.name, b.name))
	})
	return out, nil
}

// A subnet is where an instance may be.
type subnet struct {
	id, zone, name string
	cidrs          []string
	public, ipv6   bool
	local          bool // in a local zone or on an edge: only for those who ask
}

// A network is a VPC.
type network struct {
	vpc     string
	subnets []subnet
}

// candidates returns the subnets where the machine may be, in an order that is the same for everyone: by zone, the better ones first.
func (n network) candidates(w wish, only []string) ([]subnet, error) {
	var fit []subnet
	for _, s := range n.subnets {
		switch {
		case len(only) > 0 && !slices.Contains(only, s.id):
		case w.subnet != "" && w.subnet != s.id && w.subnet != s.name && !slices.Contains(s.cidrs, w.subnet):
		case len(w.zones) > 0 && !slices.Contains(w.zones, s.zone):
		case s.local && w.subnet == "" && len(w.zones) == 0:
		case w.ipv6 && !s.ipv6:
		default:
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		return nil, refused("no subnet of VPC %s suits: %s", n.vpc, w.whereabouts())
	}
	private := w.public != nil && !*w.public
	slices.SortFunc(fit, func(a, b subnet) int {
		return cmp.Or(strings.Compare(a.zone, b.zone), better(a.public != private, b.public != private), strings.Compare(a.id, b.id))
	})
	return fit, nil
}

// inTurn puts the subnets of the zone first whose turn it is. The other zones are for when there is no room.
func inTurn(subnets []subnet, turn int) []subnet {
	var zones []string
	for _, s := range subnets {
		if !slices.Contains(zones, s.zone) {
			zones = append(zones, s.zone)
		}
	}
	if len(zones) == 0 {
		return nil
	}
	first := turn % len(zones)
	rank := func(s subnet) int { return (slices.Index(zones, s.zone) - first + len(zones)) % len(zones) }
	out := slices.Clone(subnets)
	slices.SortStableFunc(out, func(a, b subnet) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

func better(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// turnOf is the machine's number in its group, or else in its model, from a beginning that differs from one to the other. Zones are given to machines
// in turn, so that every controller that starts the machine begins with the same.
func turnOf(req provider.StartRequest) int {
	h := fnv.New32a()
	h.Write([]byte(req.Model))
	n := req.Turn
	if req.Group != "" {
		h.Write([]byte("/" + req.Group))
	} else {
		var err error
		if n, err = strconv.Atoi(req.Machine); err != nil {
			h.Write([]byte(req.Machine))
		}
	}
	return int(h.Sum32()>>8) + max(n, 0)
}

func (w wish) whereabouts() string {
	var out []string
	if w.subnet != "" {
		out = append(out, "subnet="+w.subnet)
	}
	if len(w.zones) > 0 {
		out = append(out, "zones="+strings.Join(w.zones, ","))
	}
	if w.ipv6 {
		out = append(out, "ip-family=dual")
	}
	if len(out) == 0 {
		return "it has none in this region's zones that the cloud's config allows"
	}
	return fmt.Sprintf("asked for %s", strings.Join(out, " "))
}

// imagePattern is whose images are for the base, and how they are named.
func imagePattern(base, arch string, s settings) (owner, pattern string, err error) {
	name, channel, _ := strings.Cut(cmp.Or(base, "debian@12"), "@")
	switch {
	case s.imageOwner != "":
		return s.imageOwner, strings.NewReplacer("{name}", name, "{channel}", channel, "{arch}", arch).Replace(s.imageName), nil
	case name == "debian":
		return debianOwner, fmt.Sprintf("debian-%s-%s-*", channel, arch), nil
	case name == "ubuntu":
		return ubuntuOwner, fmt.Sprintf("ubuntu/images/hvm-ssd*/ubuntu-*-%s-%s-server-*", channel, arch), nil
	}
	return "", "", refused("no image of %s is known: name one with the constraint image-id, or whose to use with the cloud's config image-owner and image-name", base)
}

// The accounts of those who publish the images.
const (
	debianOwner = "136693071363"
	ubuntuOwner = "099720109477" // Canonical
)
