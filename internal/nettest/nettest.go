// Package nettest runs tests in a network of their own, in which they may do as they like.
package nettest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// own says to a test's process that it has a network of its own.
const own = "GRIGRI_TEST_OWN_NETWORK"

// Own runs the test in a process of its own, in a network that has nothing but the loopback interface, and goes when the process
// does. There it returns true; here false, when that process has ended, and the test with it. Without root, or without ip, the test is skipped;
// where CI is set it fails.
func Own(t *testing.T) bool {
	t.Helper()
	if os.Getenv(own) == t.Name() {
		IP(t, "link set lo up")
		return true
	}
	missing := ""
	if _, err := exec.LookPath("ip"); err != nil {
		missing = "ip is not installed"
	}
	if os.Getuid() != 0 {
		missing = "only root can make networks"
	}
	switch {
	case missing != "" && os.Getenv("CI") != "":
		t.Fatal(missing)
	case missing != "":
		t.Skip(missing)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), own+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a network of its own: %v\n%s", err, out)
	}
	return false
}

// IP runs ip with these words.
func IP(t *testing.T, words string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(words)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", words, err, out)
	}
}

// Link makes a network interface with this address, of which the kernel says nothing more by itself.
func Link(t *testing.T, name, address string) {
	t.Helper()
	IP(t, "link add "+name+" type veth peer name peer-"+name)
	IP(t, "link set "+name+" addrgenmode none")
	IP(t, "link set peer-"+name+" addrgenmode none up")
	IP(t, "link set "+name+" up")
	IP(t, "addr add "+address+" dev "+name)
}
