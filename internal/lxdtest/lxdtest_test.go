package lxdtest_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/lxdtest"
)

var lxd lxdtest.Shared

func TestMain(m *testing.M) { os.Exit(lxd.Main(m)) }

func TestAContainerBootsAndRunsItsUserData(t *testing.T) {
	s := lxd.Server(t)
	c := s.Launch(t, "one", lxdtest.Options{UserData: "#cloud-config\nruncmd: [\"echo done >/root/ran\"]\n"})
	c.Await(t, "test", "-s", "/root/ran")
	c.Await(t, "systemctl", "is-active", "ssh")
	conn, err := net.DialTimeout("tcp", c.Address+":22", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	banner := make([]byte, 4)
	if _, err := conn.Read(banner); err != nil || string(banner) != "SSH-" {
		t.Errorf("its sshd says %q, %v", banner, err)
	}
	c.Write(t, "/etc/new/file", "text")
	if got := c.Exec(t, "cat", "/etc/new/file"); got != "text" {
		t.Errorf("it reads %q", got)
	}
	if got := strings.TrimSpace(c.Exec(t, "hostname")); got != "one" {
		t.Errorf("its name is %q", got)
	}
}

func TestTwoRunsAreApart(t *testing.T) {
	s, other := lxd.Server(t), lxdtest.Start(t)
	a, b := s.Launch(t, "same", lxdtest.Options{}), other.Launch(t, "same", lxdtest.Options{})
	if a.Address == b.Address {
		t.Errorf("both have %s", a.Address)
	}
}

// What a run that was killed has left is removed by whoever comes next.
func TestAKilledRunIsCleanedUpAfter(t *testing.T) {
	s := lxd.Server(t)
	s.LXC(t, "project", "create", "gt-dead", "-c", "features.images=false")
	s.LXC(t, "init", s.Image, "left", "--project", "gt-dead", "-s", lxdtest.Pool)
	s.LXC(t, "storage", "volume", "create", lxdtest.Pool, "left", "--project", "gt-dead")
	s.LXC(t, "network", "acl", "create", "left", lxdtest.OwnerKey+"=gt-dead", "--project", "default")
	lxdtest.Start(t)
	if out := s.LXC(t, "project", "list", "-f", "csv"); strings.Contains(out, "gt-dead") {
		t.Errorf("it is still there: %s", out)
	}
	if out := s.LXC(t, "network", "acl", "list", "--project", "default"); strings.Contains(out, "left") {
		t.Errorf("its ACL is still there: %s", out)
	}
}

func TestAScriptGetsTheSame(t *testing.T) {
	lxd.Server(t)
	cmd := exec.Command("go", "run", "./lxdenv", "sh", "-c", `lxc image show "$GRIGRI_LXD_IMAGE" --project default >/dev/null && lxc profile show default | grep -q "$GRIGRI_LXD_NETWORK" && test -S "$GRIGRI_LXD_SOCKET" && exit 7`)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "exit status 7") {
		t.Errorf("%v: %s", err, out)
	}
}
