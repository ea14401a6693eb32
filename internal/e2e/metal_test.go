package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/state"
)

// A user who may log in to the hosts, and becomes root with his password.
const (
	boss     = "boss"
	password = "correct horse"
)

// The life of a controller and a machine on two hosts with systemd that somebody has, from the first look to the last trace. One is logged in to
// with a password, the other with a key. Both start again on the way.
func TestHostsWithSystemd(t *testing.T) {
	t.Parallel() // much of it is waiting
	lxd := lxdtest.Start(t)
	w := metalWorld{environment: newClient(t, "metal"), lxd: lxd, answers: map[string]string{
		"Continue [y/N]?": "y", "Password of boss@": password, "[sudo] password of boss@": password}}
	home := t.TempDir()
	w.key = filepath.Join(home, ".ssh", "id_ed25519")
	if out, err := exec.Command("sh", "-ec", "mkdir -m 700 $(dirname $1) && ssh-keygen -q -t ed25519 -N '' -f $1", "sh", w.key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.env = []string{"HOME=" + home, "SSH_AUTH_SOCK="}
	var ground, shelf, stranger *lxdtest.Container
	var g sync.WaitGroup
	g.Go(func() { ground = w.host("ground", lxdtest.Java()) })
	g.Go(func() { shelf = w.host("shelf", nil) })
	g.Go(func() { stranger = lxd.Launch(t, "stranger", lxdtest.Options{Image: lxd.Tiny}) })
	g.Wait()
	if t.Failed() {
		t.FailNow()
	}
	w.controller, w.machine = ground, shelf
	public, err := os.ReadFile(w.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	shelf.Write(t, "/home/boss/.ssh/authorized_keys", string(public))
	shelf.Exec(t, "chown", "-R", "boss", "/home/boss/.ssh")
	before := map[*lxdtest.Container]string{ground: w.listing(ground), shelf: w.listing(shelf)}
	clean := func(when string, c *lxdtest.Container) {
		t.Helper()
		if err := sameLines(before[c], w.listing(c)); err != nil {
			t.Errorf("%s %s is not as it was:\n%v", when, c.Name, err)
		}
	}

	w.doesNotBegin(func(when string) { clean(when, ground) })
	_, err = w.typed(w.answers, "bootstrap", "manual/boss@"+ground.Address, w.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.explain)
	w.must("add-model", "shop", "--config", "manual-firewall=true")
	out, err := w.typed(w.answers, "add-machine", "ssh:boss@"+shelf.Address, "--private-key", w.key, "--host-key", w.hostKey(shelf))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "Password of") || !strings.Contains(out, "created machine 0") {
		t.Errorf("with a key add-machine says\n%s", out)
	}
	w.must("deploy", "./testdata/tenant", "--to", "0", "--config", "serve=true")
	w.settled(map[state.ApplicationName]int{"tenant": 1})
	w.machine.Await(t, "python3", "-c", "import socket\nfor p in 8080, 8081, 8082: socket.create_connection(('127.0.0.1', p))")
	x := exposure{w.environment, stranger, shelf.Address}
	x.endpoints()
	w.restarts()
	x.opens("8080hs 8081s 8082h")
	shelf.Exec(t, "systemctl", "restart", "nftables") // which takes all tables away
	shelf.Await(t, "nft", "list", "table", "inet", "grigri")

	w.must("remove-application", "tenant", "--no-prompt")
	w.settled(nil)
	w.must("remove-machine", "0", "--no-prompt")
	w.until("no machine", func(s status.Status) bool { return len(s.Machines) == 0 })
	clean("without its machine", shelf)
	if _, err := w.typed(w.answers, "destroy-controller", w.name, "--no-prompt", "--destroy-all-models"); err != nil {
		t.Fatal(err)
	}
	clean("without its controller", ground)
}

// A metalWorld is a client with two hosts, and one that is nobody's.
type metalWorld struct {
	*environment
	lxd                 *lxdtest.Server
	key                 string // the file of his private key, which all hosts know
	answers             map[string]string
	controller, machine *lxdtest.Container
}

// host is a container that is like a host somebody has: with a user, a firewall of its own, and an sshd that asks for passwords.
func (w metalWorld) host(name string, devices map[string]map[string]string) *lxdtest.Container {
	c := w.lxd.Launch(w.T, name, lxdtest.Options{Devices: devices})
	c.Await(w.T, "sh", "-c", "systemctl is-system-running | grep -q -e running -e degraded")
	c.Exec(w.T, "sh", "-ec", `useradd -m -s /bin/bash boss && echo 'boss:`+password+`' | chpasswd
echo 'boss ALL=(ALL) ALL' >/etc/sudoers.d/boss
echo 'PasswordAuthentication yes' >/etc/ssh/sshd_config.d/10-test.conf
printf 'table inet own {\n\tchain input { type filter hook input priority 0; tcp dport 2049 drop; }\n}\n' >/etc/nftables.conf
systemctl -q enable --now nftables
install -d -m 700 -o boss /home/boss/.ssh
printf '%s' '`+lxdtest.JavaProgram+`' >/usr/bin/java
chmod 755 /usr/bin/java
systemctl restart ssh`)
	return c
}

func (w metalWorld) hostKey(c *lxdtest.Container) string {
	w.Helper()
	return strings.TrimSpace(c.Exec(w.T, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"))
}

// listing is all that a host has that somebody may care for: files, and what they hold where that is for people; users, services, rules of the
// firewall, and processes of ours. Left out is what logging in, starting again and installing packages change by themselves.
func (w metalWorld) listing(c *lxdtest.Container) string {
	w.Helper()
	const list = `{
find / -xdev \( -path /proc -o -path /sys -o -path '/var/lib/cloud/*' -o -path '/var/log/*' -o -path '/tmp/systemd-private*' -o -path '/var/tmp/systemd-private*' \
	-o -path '/var/lib/apt/*' -o -path '/var/cache/apt/*' -o -path '/var/lib/sudo/*' -o -path '/var/lib/systemd/*' -o -path '/var/lib/dhcp/*' \) -prune -o -printf '%p %y %m %U %l\n'
find /run /dev /var/log -iname '*grigri*' -o -iname '*juju*'
find /etc /root /home /usr/local -xdev -type f ! -name 'resolv.conf*' -exec sha256sum {} +
getent passwd
systemctl list-unit-files --no-legend --no-pager
systemctl list-units --all --no-legend --no-pager 'grigri*' 'tenant*'
nft list ruleset
ps -eo args | grep -i -e '[g]rigri' -e '[j]uju' -e '[z]ookeeper'
} | sed 's/ *$//' | sort`
	out, err := c.Try("sh", "-c", list)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// sameLines says what is in one of them only.
func sameLines(before, after string) error {
	was, is := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(before) {
		was[line] = true
	}
	var diff strings.Builder
	for line := range strings.Lines(after) {
		if is[line] = true; !was[line] {
			diff.WriteString("+ " + line)
		}
	}
	for line := range was {
		if !is[line] {
			diff.WriteString("- " + line)
		}
	}
	if diff.Len() > 0 {
		return errors.New(diff.String())
	}
	return nil
}

// doesNotBegin is bootstraps that fail before or after something has been put on the host. Each says at which step, and why.
func (w metalWorld) doesNotBegin(clean func(when string)) {
	w.Helper()
	c := w.controller
	for _, f := range []struct {
		when, before, after string
		want                []string
	}{
		{"without room on its disk", "mount -t tmpfs -o size=64m none /var/lib", "umount /var/lib", []string{"look at the machine: it has 64 MiB free on its disk and needs 1024: make room, or use another host"}},
		{"without a package of Java", "mv /etc/apt/sources.list /etc/apt/away; mv /usr/bin/java /usr/bin/away", "mv /etc/apt/away /etc/apt/sources.list; mv /usr/bin/away /usr/bin/java",
			[]string{"install Java and ZooKeeper: exit status", "it said last:", "default-jre-headless", "removing what has been made"}},
		{"when its disk is full half way", "mkdir /usr/local/lib/grigri && mount -t tmpfs -o size=4m none /usr/local/lib", "umount /usr/local/lib; rmdir /usr/local/lib/grigri",
			[]string{"put grigri", "No space left on device", "removing what has been made"}},
	} {
		c.Exec(w.T, "sh", "-ec", f.before)
		out, err := w.typed(w.answers, "bootstrap", "manual/boss@"+c.Address, w.name)
		c.Exec(w.T, "sh", "-ec", f.after)
		for _, want := range f.want {
			if err == nil || !strings.Contains(out, want) {
				w.Errorf("bootstrap %s: %v; want %q in\n%s", f.when, err, want, out)
			}
		}
		clean(f.when)
	}
}

// reached says who reaches which of the machine's ports from outside of the model: this host, the stranger, or both.
func reached(stranger *lxdtest.Container, address string) string {
	ports := []string{"8080", "8081", "8082"}
	who := make([]string, len(ports))
	var g sync.WaitGroup
	for i, port := range ports {
		g.Go(func() {
			if conn, err := net.DialTimeout("tcp", address+":"+port, time.Second); err == nil {
				conn.Close()
				who[i] = "h"
			}
		})
	}
	theirs, _ := stranger.Try("sh", "-c", "for p in "+strings.Join(ports, " ")+"; do { nc -w 1 "+address+" $p </dev/null && echo $p; } & done; wait")
	g.Wait()
	var out []string
	for i, port := range ports {
		if strings.Contains(theirs, port) {
			who[i] += "s"
		}
		if who[i] != "" {
			out = append(out, port+who[i])
		}
	}
	return strings.Join(out, " ")
}

// An exposure is tried from outside of a model whose machine has the charm tenant: 8080 was opened for all endpoints, 8081 for admin, and
// 8082 for public.
type exposure struct {
	*environment
	stranger *lxdtest.Container
	address  string // of the machine
}

// opens waits until just this is reached.
func (x exposure) opens(want string, args ...string) {
	x.Helper()
	if len(args) > 0 {
		x.must(args...)
	}
	x.eventually(fmt.Sprintf("%v opens %q", args, want), func() error {
		if got := reached(x.stranger, x.address); got != want {
			return fmt.Errorf("reached is %q", got)
		}
		return nil
	})
}

// endpoints exposes them one by one. In the end 8080 is open to all, 8081 to the stranger, and 8082 to this host.
func (x exposure) endpoints() {
	x.Helper()
	stranger := x.stranger.Address + "/32"
	host := x.host() + "/32"
	x.opens("")
	x.opens("8080s 8081s 8082s", "expose", "tenant", "--endpoints", "admin,public", "--to-cidrs", stranger)
	x.opens("8080hs 8081s 8082h", "expose", "tenant", "--endpoints", "public", "--to-cidrs", host)
	x.opens("8080h 8082h", "unexpose", "tenant", "--endpoints", "admin")
	x.opens("", "unexpose", "tenant", "--endpoints", "public")
	x.opens("8080hs 8081hs 8082hs", "expose", "tenant", "--to-cidrs", stranger+","+host)
	x.opens("8080hs 8081s 8082hs", "expose", "tenant", "--endpoints", "admin", "--to-cidrs", stranger)
	x.opens("8080hs 8082hs", "exec", "--unit", "tenant/0", "close-port --endpoints admin 8081/tcp")
	x.opens("8080hs 8081s 8082hs", "exec", "--unit", "tenant/0", "open-port --endpoints admin 8081/tcp")
	x.opens("", "unexpose", "tenant")
	x.must("expose", "tenant", "--endpoints", "admin", "--to-cidrs", stranger)
	x.opens("8080hs 8081s 8082h", "expose", "tenant", "--endpoints", "public", "--to-cidrs", host)
}

// host is this host's address on the machine's network.
func (x exposure) host() string {
	x.Helper()
	conn, err := net.Dial("udp", x.address+":9")
	if err != nil {
		x.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}

// restarts starts both hosts again, the machine first. Its firewall is there before it knows of a controller.
func (w metalWorld) restarts() {
	w.Helper()
	const record = "/var/lib/juju/agents/unit-tenant-0/record"
	w.machine.Exec(w.T, "rm", record)
	w.lxd.LXC(w.T, "stop", "--force", w.controller.Name)
	w.lxd.LXC(w.T, "restart", "--force", w.machine.Name)
	w.machine.Await(w.T, "sh", "-c", "systemctl is-active -q grigri-machine-0 && nft list table inet grigri && nft list table inet own")
	w.lxd.LXC(w.T, "start", w.controller.Name)
	w.eventually("the unit starts again", func() error {
		got, err := w.machine.Try("cat", record)
		if err == nil && got != "start\n" {
			err = fmt.Errorf("its hooks are %q", got)
		}
		return err
	})
	w.again("", "models")
	w.settled(map[state.ApplicationName]int{"tenant": 1})
}

func (w metalWorld) explain() {
	if !w.Failed() {
		return
	}
	for _, c := range []*lxdtest.Container{w.controller, w.machine} {
		out, _ := c.Try("sh", "-c", "journalctl -q -n 40 --no-pager -o cat -u grigrid -u 'grigri-*'; tail -n 30 /var/log/juju/*; nft list ruleset")
		w.Logf("%s:\n%s", c.Name, out)
	}
	if out, err := w.run("status"); err == nil {
		w.Log(out)
	}
}
