package provider

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The protocols of a port.
const (
	TCP  = "tcp"
	UDP  = "udp"
	ICMP = "icmp"
)

const maxPort = 65535

// A PortRange is a range of ports and its protocol. ICMP has ports -1.
type PortRange struct {
	Protocol string `json:"protocol"` // tcp, udp or icmp
	From     int    `json:"from"`
	To       int    `json:"to"`
}

// ParsePort reads a port as charms write it: "80", "80/tcp", "8000-8010/UDP", "icmp". The protocol
// is tcp when there is none, and its case does not matter.
func ParsePort(text string) (PortRange, error) {
	ports, protocol, ok := strings.Cut(text, "/")
	if strings.EqualFold(ports, ICMP) {
		return PortRange{Protocol: ICMP, From: -1, To: -1}, nil
	}
	if !ok {
		protocol = TCP
	}
	protocol = strings.ToLower(protocol)
	if ports == "" {
		return PortRange{}, fmt.Errorf("no port or range specified")
	}
	if protocol != TCP && protocol != UDP && protocol != ICMP {
		return PortRange{}, fmt.Errorf(`invalid protocol %q, expected "tcp", "udp", or "icmp"`, protocol)
	}
	if protocol == ICMP {
		return PortRange{}, fmt.Errorf("invalid port range %q: icmp has no ports", text)
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	if strings.Contains(last, "-") {
		return PortRange{}, fmt.Errorf("invalid port range %q", ports)
	}
	from, err := parseBound(first)
	if err != nil {
		return PortRange{}, err
	}
	to, err := parseBound(last)
	if err != nil {
		return PortRange{}, err
	}
	if from > maxPort || to > maxPort {
		return PortRange{}, fmt.Errorf("port range bounds must be between 0 and 65535, got %d-%d", from, to)
	}
	if from > to {
		return PortRange{}, fmt.Errorf("invalid port range %q: it ends before it begins", ports)
	}
	return PortRange{Protocol: protocol, From: from, To: to}, nil
}

// parseBound reads an unsigned decimal number. A number too large for an int is as far out of bounds as one can be.
func parseBound(text string) (int, error) {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("invalid port %q: expected a number", text)
		}
	}
	if text == "" {
		return 0, fmt.Errorf("invalid port %q: expected a number", text)
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("invalid port %q: expected a number from 0 to 65535", text)
	}
	return int(n), nil
}

// String is the range as charms see it: "80/tcp", "8000-8010/udp", "icmp".
func (r PortRange) String() string {
	if r.Protocol == ICMP {
		return ICMP
	}
	return r.ports() + "/" + r.Protocol
}

func (r PortRange) ports() string {
	if r.From == r.To {
		return strconv.Itoa(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// Overlaps says whether the two ranges have a port of the same protocol in common.
func (r PortRange) Overlaps(o PortRange) bool {
	return r.Protocol == o.Protocol && r.From <= o.To && o.From <= r.To
}

// Compare orders ranges by protocol (tcp, udp, icmp), then by number: for slices.SortFunc.
func (r PortRange) Compare(o PortRange) int {
	return cmp.Or(
		cmp.Compare(rank(r.Protocol), rank(o.Protocol)),
		cmp.Compare(r.Protocol, o.Protocol),
		cmp.Compare(r.From, o.From),
		cmp.Compare(r.To, o.To),
	)
}

func rank(protocol string) int {
	switch protocol {
	case TCP:
		return 0
	case UDP:
		return 1
	default:
		return 2
	}
}

// SortPorts sorts ranges in place, in the order that Compare gives.
func SortPorts(ranges []PortRange) { slices.SortFunc(ranges, PortRange.Compare) }

// GroupPorts is how status shows open ports, one group a protocol: "80,443,1555-1557/tcp 53/udp icmp".
// The argument may be in any order, have doubles, and is not changed.
func GroupPorts(ranges []PortRange) string {
	sorted := slices.Clone(ranges)
	SortPorts(sorted)
	sorted = slices.Compact(sorted)
	var b strings.Builder
	for i, r := range sorted {
		same := i > 0 && sorted[i-1].Protocol == r.Protocol
		last := i == len(sorted)-1 || sorted[i+1].Protocol != r.Protocol
		switch {
		case same:
			b.WriteByte(',')
		case i > 0:
			b.WriteByte(' ')
		}
		if r.Protocol == ICMP {
			b.WriteString(ICMP)
			continue
		}
		b.WriteString(r.ports())
		if last {
			b.WriteString("/" + r.Protocol)
		}
	}
	return b.String()
}
