// Package sshtest makes hosts to log in to, for tests: each is this machine's own files under a layer that takes every change,
// with its own name, processes and sshd, and if wanted its own network. They leave nothing behind.
package sshtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	_ "embed"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/grigri/grigri/internal/nettest"
)

//go:embed host.sh
var script string

// Config is what a host is made with. Root may always log in with Host.KeyFile.
type Config struct {
	Setup   string // a script that runs as root in the host before its sshd starts
	Network bool   // its own network, joined to this machine's by a pair of interfaces. Otherwise it shares this machine's
}

// A Host is one host.
type Host struct {
	Name    string // its hostname
	Address string // its IP address
	Port    int    // of its sshd
	HostKey string // as in a .pub file
	KeyFile string // a private key that root's authorized_keys has

	pid     int    // its first process, as this machine sees it
	network string // its own, and this machine's interface to it; empty: it has none
}

// Start starts a host and waits until its sshd answers. The test ends it. Without root, or without sshd, the test is skipped; where CI is set it fails.
func Start(t *testing.T, c Config) *Host {
	t.Helper()
	need(t)
	dir := t.TempDir()
	h := &Host{Name: "bare-" + filepath.Base(dir) + "-" + strconv.Itoa(os.Getpid()%1000), Address: "127.0.0.1", KeyFile: filepath.Join(dir, "key")}
	write(t, h.KeyFile, key(t))
	write(t, filepath.Join(dir, "hostkey"), key(t))
	write(t, filepath.Join(dir, "authorized_keys"), []byte(public(t, h.KeyFile)))
	write(t, filepath.Join(dir, "setup"), []byte(c.Setup))
	h.HostKey = strings.TrimSpace(public(t, filepath.Join(dir, "hostkey")))
	h.Port = 22
	if c.Network {
		h.makeNetwork(t)
	} else {
		h.Port = nettest.Port(t)
	}
	said := &bytes.Buffer{}
	args := append(inside(h.network), "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child",
		"sh", "-c", script, "sh", dir, h.Name, h.Address, strconv.Itoa(h.Port))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", h.Name, said)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(h.Address, strconv.Itoa(h.Port)), time.Second)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("the sshd of %s does not answer: %v\n%s", h.Name, err, said)
		}
	}
	h.pid = child(t, cmd.Process.Pid)
	return h
}

// need says what is missing.
func need(t *testing.T) {
	t.Helper()
	missing := ""
	for _, name := range []string{"sshd", "ip", "nft", "unshare", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = name + " is not installed"
		}
	}
	if os.Getuid() != 0 {
		missing = "only root can make hosts"
	}
	if missing == "" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func inside(network string) []string {
	if network == "" {
		return nil
	}
	return []string{"nsenter", "--net=/run/netns/" + network}
}

var networks atomic.Int32

// makeNetwork makes a network of the host's own, and gives it its address.
func (h *Host) makeNetwork(t *testing.T) {
	n := int(networks.Add(1)) + os.Getpid()%4000*16 // apart from what other tests make at the same time
	name := fmt.Sprintf("gt%d", n)
	subnet := func(last int) string { return fmt.Sprintf("10.%d.%d.%d", 160+n>>14&31, n>>6&255, n&63<<2+last) }
	h.Address = subnet(2)
	run := func(args ...string) {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	run("netns", "add", name)
	t.Cleanup(func() {
		_ = exec.Command("ip", "link", "del", name).Run()
		_ = exec.Command("ip", "netns", "del", name).Run()
	})
	run("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
	run("addr", "add", subnet(1)+"/30", "dev", name)
	run("link", "set", name, "up")
	run("-n", name, "addr", "add", h.Address+"/30", "dev", "eth0")
	run("-n", name, "link", "set", "lo", "up")
	run("-n", name, "link", "set", "eth0", "up")
	run("-n", name, "route", "add", "default", "via", subnet(1))
	h.network = name
}

// Move gives a host with its own network another address, and this machine one beside it.
func (h *Host) Move(t *testing.T) {
	t.Helper()
	was := h.Address
	octets := strings.Split(was, ".")
	n, err := strconv.Atoi(octets[1])
	if err != nil {
		t.Fatal(err)
	}
	octets[1] = strconv.Itoa(n - 32)
	h.Address = strings.Join(octets, ".")
	ours := netip.MustParseAddr(h.Address).Prev().String()
	if out, err := exec.Command("ip", "addr", "add", ours+"/30", "dev", h.network).CombinedOutput(); err != nil {
		t.Fatalf("ip addr add %s: %v: %s", ours, err, out)
	}
	h.Run(t, fmt.Sprintf("ip addr add %s/30 dev eth0 && ip route replace default via %s && ip addr del %s/30 dev eth0", h.Address, ours, was))
}

// Target is the host as the client names it.
func (h *Host) Target(user string) string { return fmt.Sprintf("%s@%s:%d", user, h.Address, h.Port) }

// Run runs a script as root in the host, without ssh, and returns what it prints.
func (h *Host) Run(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nsenter", "-t", strconv.Itoa(h.pid), "-m", "-u", "-i", "-p", "-n", "-r", "-w", "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("on %s: %s: %v: %s", h.Name, script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Changes is every file and directory that is not as it was when the host was made, and what it holds or where it leads, in order.
func (h *Host) Changes(t *testing.T) []string {
	t.Helper()
	const list = `cd /run/grigri-test-layer && find . -mindepth 1 \( -type f -printf '%p %m %U ' -exec sh -c 'sha256sum <"$1"' sh {} \; \) -o \( -type d -printf '%p/\n' \) -o -printf '%p %y %l\n'`
	lines := strings.Split(h.Run(t, list), "\n")
	slices.Sort(lines)
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" })
}

// Kill ends the host at once, as if its power had failed.
func (h *Host) Kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(h.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func child(t *testing.T, pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatalf("process %d has the children %q", pid, data)
	}
	return n
}

func key(t *testing.T) []byte {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func public(t *testing.T, file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(s.PublicKey()))
}

func write(t *testing.T, name string, data []byte) {
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
