package machine

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/nettest"
)

func TestGateway(t *testing.T) {
	const routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth1\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t00000000\t0100D50A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t0000D50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	for name, want := range map[string]string{"eth0": "10.213.0.1", "eth1": "", "lo": ""} {
		if got := gateway(routes, name); got != want {
			t.Errorf("the gateway of %s is %q, want %q", name, got, want)
		}
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7 10.0.0.5": "203.0.113.7", "10.0.0.5 203.0.113.7": "203.0.113.7", "ec2-1.example 10.0.0.9": "10.0.0.5", "": "10.0.0.5",
		"2001:db8::1 127.0.0.4 169.254.1.1 192.168.1.2": "10.0.0.5",
	} {
		if got := public("10.0.0.5", strings.Fields(text)); got != want {
			t.Errorf("of %q the public one is %q, want %q", text, got, want)
		}
	}
}

// The kernel tells of much, and only what makes the machine another one wakes its agent.
func TestOnlyWhatChangesWakesTheMachine(t *testing.T) {
	if !nettest.Own(t) {
		return
	}
	nettest.Link(t, "eth7", "10.77.0.2/24")
	m := &machine{changed: make(chan struct{}, 1)}
	watch := m.watcher()
	looks, wakes := make(chan struct{}), 0
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- followNetwork(ctx, slog.New(slog.DiscardHandler), func() {
			watch()
			select {
			case looks <- struct{}{}:
			case <-ctx.Done():
			}
		})
	}()
	look := func() (woken bool) {
		select {
		case <-looks:
		case <-time.After(time.Minute):
			t.Fatal("nobody looks")
		}
		select {
		case <-m.changed:
			wakes++
			return true
		default:
			return false
		}
	}
	<-looks
	want := 0
	for _, c := range []struct {
		wakes   bool
		command string
	}{
		{false, "addr change 10.77.0.2/24 dev eth7 valid_lft 1000 preferred_lft 1000"}, // as DHCP does every hour
		{false, "link add eth8 type veth peer name eth9"},
		{true, "addr add 10.77.0.3/24 dev eth7"},
		{true, "addr del 10.77.0.3/24 dev eth7"},
		{false, "addr add 10.78.0.2/24 dev eth8"},
		{true, "link set eth8 up"},
		{true, "link set eth8 down"},
		{false, "link del eth8"},
		{false, "addr change 10.77.0.2/24 dev eth7 valid_lft 2000 preferred_lft 2000"},
	} {
		nettest.IP(t, c.command)
		if c.wakes {
			want++
		}
		for woken := look(); c.wakes && !woken; {
			woken = look()
		}
	}
	if wakes != want {
		t.Errorf("the agent is woken %d times by %d changes", wakes, want)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
