package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// rules is the text of a table for nft; empty: no table.
type rules string

// filter keeps our table of a manual host's firewall as the controllers want it, and says whether there is one. Without their node the host's
// firewall is left alone. The table is in a file as well, so that it is there as soon as the host starts again, and it is looked at now
// and then: who loads the host's own rules may take all others away.
func (m *machine) filter(ctx context.Context) (kept bool, err error) {
	if !m.manual {
		return false, nil
	}
	rec, err := state.ReadIf[state.Rules](ctx, m.Store, m.model.RulesPath(m.id))
	if err != nil {
		return false, fmt.Errorf("read the rules of machine %s: %w", m.id, err)
	}
	want := rules("")
	if rec.Exists() {
		want = table(rec.Value)
	}
	if m.rules != nil && want == *m.rules && (want == "" || exec.CommandContext(ctx, "nft", "list", "chain", "inet", "grigri", "input").Run() == nil) {
		return want != "", nil
	}
	file := filepath.Join(enroll.Dir(m.DataDir, m.id), initscript.FirewallFile)
	if err := keep(file, want); err != nil {
		return false, fmt.Errorf("keep the rules of the host's firewall: %w", err)
	}
	if _, err := exec.LookPath("nft"); err != nil && want == "" {
		return false, nil // nobody can have made a table
	}
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(noTable + string(want))
	if out, err := cmd.CombinedOutput(); err != nil {
		return false, fmt.Errorf("set the rules of the host's firewall with nft: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if m.rules != nil || want != "" {
		m.log.Info("the host's firewall has other rules", "kept", want != "", "open", len(rec.Value.Ports))
	}
	m.rules = &want
	return want != "", nil
}

// keep writes the file that nft reads when the host starts; without rules there is none.
func keep(file string, r rules) error {
	if r == "" {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.WriteFile(file+".new", []byte(noTable+string(r)), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// noTable takes the table away, also one that is not there. What nft reads at once happens at once.
const noTable = "add table inet grigri\ndelete table inet grigri\n"

// table is the whole text. Whoever answers, comes over ssh, or from this very machine or another one of the model is let in, and so is
// ICMP and DHCP, and containers of ours are given names and addresses: what is filtered is new connections to other ports. Packets that are passed on to others are not ours to judge.
func table(r state.Rules) rules {
	return rules(`table inet grigri {
	chain input {
		type filter hook input priority filter + 10; policy drop;
		ct state established,related accept
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		udp dport { 68, 546 } accept
		iifname "gri-*" meta l4proto { tcp, udp } th dport { 53, 67 } accept
		` + strings.Join(lines(r), " accept\n\t\t") + ` accept
	}
}
`)
}

// lines is the matches of the rules, sorted. A source that is no address range opens nothing.
func lines(r state.Rules) []string {
	out := []string{fmt.Sprintf("tcp dport %d", cmp.Or(r.SSH, 22))}
	for _, p := range r.Peers {
		if match, ok := from(p); ok && match != "" {
			out = append(out, match)
		}
	}
	for _, p := range r.Ports {
		if p.Protocol != provider.TCP && p.Protocol != provider.UDP {
			continue // ICMP is open anyway
		}
		ports := fmt.Sprintf("%s dport %d-%d", p.Protocol, p.From, p.To)
		if len(p.Sources) == 0 {
			out = append(out, ports)
		}
		for _, s := range p.Sources {
			if match, ok := from(s); ok {
				out = append(out, match+ports)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// from matches packets from an address, or from a range of addresses.
func from(text string) (match string, ok bool) {
	p, err := netip.ParsePrefix(text)
	if a, aerr := netip.ParseAddr(text); aerr == nil {
		p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	switch {
	case err != nil:
		return "", false
	case p.Bits() == 0 && p.Addr().Is4():
		return "meta nfproto ipv4 ", true
	case p.Bits() == 0:
		return "meta nfproto ipv6 ", true
	case p.Addr().Is4():
		return "ip saddr " + p.Masked().String() + " ", true
	}
	return "ip6 saddr " + p.Masked().String() + " ", true
}
