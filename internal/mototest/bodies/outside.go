package bodies

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An Outsider is a host with two addresses that is in no security group.
type Outsider struct {
	Addresses [2]string
	name      string // of its network namespace
}

// Outsider makes one, which goes with the test.
func (w *World) Outsider(t *testing.T) *Outsider {
	t.Helper()
	four := w.gateway.As4()
	address := func(last byte) string { return netip.AddrFrom4([4]byte{10, 215, four[2], last}).String() }
	o := &Outsider{Addresses: [2]string{address(2), address(3)}, name: "gtout" + strconv.Itoa(int(four[2]))}
	t.Cleanup(func() {
		_ = exec.Command("ip", "link", "del", o.name).Run()
		_ = exec.Command("ip", "netns", "del", o.name).Run()
	})
	for _, line := range []string{
		"netns add " + o.name,
		"link add " + o.name + " type veth peer name eth0 netns " + o.name,
		"addr add " + address(1) + "/24 dev " + o.name,
		"link set " + o.name + " up",
		"-n " + o.name + " addr add " + address(2) + "/24 dev eth0",
		"-n " + o.name + " addr add " + address(3) + "/24 dev eth0",
		"-n " + o.name + " link set eth0 up",
		"-n " + o.name + " route add default via " + address(1),
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	return o
}

// Fetch is what an HTTP server answers to the outsider at one of its addresses.
func (o *Outsider) Fetch(from, to string, port int) (string, error) {
	url := fmt.Sprintf("http://%s:%d/", to, port)
	out, err := exec.Command("ip", "netns", "exec", o.name, "curl", "-sS", "--noproxy", "*", "--interface", from, "--connect-timeout", "2", "--max-time", "20", url).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("fetch %s from %s: %w: %s", url, from, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// patience is how long what changes in the cloud may take to be so for the bodies.
const patience = 3 * time.Minute

// Until waits until the port of an instance is open to the address, or closed.
func (o *Outsider) Until(t *testing.T, from, to string, port int, open bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(tick) {
		_, err := o.Fetch(from, to, port)
		if (err == nil) == open {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("port %d of %s is to be open to %s: %t; %v", port, to, from, open, err)
		}
	}
}
