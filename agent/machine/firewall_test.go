package machine

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/sshtest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// reach says which of these ports of the host answer to us, who are another one.
func reach(h *sshtest.Host, ports ...int) string {
	answers := make([]string, len(ports))
	var wg sync.WaitGroup
	for i, p := range ports {
		wg.Go(func() {
			if conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", h.Address, p), time.Second); err == nil {
				conn.Close()
				answers[i] = fmt.Sprint(p)
			}
		})
	}
	wg.Wait()
	return strings.Join(slices.DeleteFunc(answers, func(p string) bool { return p == "" }), " ")
}

// What the rules say is what is reached from outside, with the kernel's own filter between.
func TestTheFirewallOfAHost(t *testing.T) {
	h := sshtest.Start(t, sshtest.Config{Network: true, Setup: `
for p in 80 81 3306; do python3 -m http.server $p >/dev/null 2>&1 & done
nft add table inet users; nft add chain inet users input '{ type filter hook input priority filter; policy accept; }'`})
	for end := time.Now().Add(time.Minute); reach(h, 22, 80, 81, 3306) != "22 80 81 3306"; {
		if time.Now().After(end) {
			t.Fatal("the servers do not come up")
		}
	}
	us := netip.MustParseAddr(h.Address).Prev().String()
	port := func(p int, sources ...string) provider.Rule {
		return provider.Rule{PortRange: provider.PortRange{Protocol: provider.TCP, From: p, To: p}, Sources: sources}
	}
	for _, c := range []struct {
		rules state.Rules
		want  string
	}{
		{state.Rules{}, "22"},
		{state.Rules{Ports: []provider.Rule{port(80)}}, "22 80"},
		{state.Rules{Ports: []provider.Rule{port(80, "0.0.0.0/0"), port(81, "192.0.2.0/24", "fd00::/8")}}, "22 80"},
		{state.Rules{Ports: []provider.Rule{port(81, us+"/24")}}, "22 81"},
		{state.Rules{Ports: []provider.Rule{{PortRange: provider.PortRange{Protocol: provider.TCP, From: 80, To: 81}}, port(443, "nonsense; drop"),
			{PortRange: provider.PortRange{Protocol: provider.ICMP, From: -1, To: -1}}}}, "22 80 81"},
		{state.Rules{Peers: []string{"192.0.2.7", "fd00::7", "a name"}}, "22"},
		{state.Rules{Peers: []string{us}}, "22 80 81 3306"},
		{state.Rules{SSH: 81}, "81"},
	} {
		h.Run(t, "nft -f - <<'END'\n"+noTable+string(table(c.rules))+"END\n")
		if got := reach(h, 22, 80, 81, 3306); got != c.want {
			t.Errorf("with %+v it answers at %s, want %s", c.rules, got, c.want)
		}
		if got := h.Run(t, `python3 -c 'import socket; socket.create_connection(("127.0.0.1", 3306), 2); print("in")'`); got != "in" {
			t.Errorf("with %+v it does not reach itself", c.rules)
		}
	}
	// Who is connected stays so, and nothing else of the host's is touched.
	h.Run(t, "nft -f - <<'END'\n"+noTable+string(table(state.Rules{Ports: []provider.Rule{port(80)}}))+"END\n")
	conn, err := net.Dial("tcp", h.Address+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h.Run(t, "nft -f - <<'END'\n"+noTable+string(table(state.Rules{}))+"END\n")
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 200") {
		t.Errorf("the one who was connected got %.20q, %v", answer, err)
	}
	h.Run(t, "nft -f - <<'END'\n"+noTable+"END\n")
	if got := reach(h, 22, 80, 81, 3306); got != "22 80 81 3306" {
		t.Errorf("without our table it answers at %s", got)
	}
	if got := h.Run(t, "nft list tables"); got != "table inet users" {
		t.Errorf("there are left: %s", got)
	}
}
