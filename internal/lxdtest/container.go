package lxdtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const patience = 4 * time.Minute // for a container's boot, on a host with much to do

// Options is what a container is made with. All may be left out.
type Options struct {
	UserData string            // for cloud-init, which runs it at the first boot
	Config   map[string]string // further keys of LXD's
	Devices  map[string]map[string]string
	Image    string // another one than Debian's
}

// Java is the devices by which a container has this host's Java and ZooKeeper, so that no test has to fetch and install them. The program
// is JavaProgram there.
func Java() map[string]map[string]string {
	out := map[string]map[string]string{}
	dirs, _ := filepath.Glob("/etc/java-*") // the pattern is well-formed
	for _, dir := range append(dirs, "/usr/lib/jvm", "/usr/share/java", "/usr/share/maven-repo") {
		if _, err := os.Stat(dir); err == nil {
			out[strings.ReplaceAll(dir[1:], "/", "-")] = map[string]string{"type": "disk", "source": dir, "path": dir, "readonly": "true"}
		}
	}
	return out
}

// JavaProgram runs what is in Java's devices: the text of a file such as /usr/bin/java.
const JavaProgram = "#!/bin/sh\nexec /usr/lib/jvm/default-java/bin/java \"$@\"\n"

// A Container is one of the run's. It is removed at the end of the test that made it.
type Container struct {
	Name    string
	Address string // IPv4; the host and all containers reach it

	server *Server
}

// Launch makes and starts a container, and waits until it has an address.
func (s *Server) Launch(tb testing.TB, name string, o Options) *Container {
	tb.Helper()
	config := map[string]any{"config": map[string]string{}, "devices": o.Devices}
	keys := config["config"].(map[string]string)
	for k, v := range o.Config {
		keys[k] = v
	}
	if o.UserData != "" {
		keys["cloud-init.user-data"] = o.UserData
	}
	text, err := json.Marshal(config) // which is YAML too
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := s.Try("delete", "--force", name); err != nil {
			tb.Error(err)
		}
	})
	if _, err := s.lxc(string(text), "launch", cmp.Or(o.Image, s.Image), name); err != nil {
		tb.Fatal(err)
	}
	c := &Container{Name: name, server: s}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if c.Address, err = s.address(name); err != nil {
			tb.Fatal(err)
		}
		if c.Address != "" {
			return c
		}
		if time.Now().After(end) {
			tb.Fatalf("container %s has no address after %v", name, patience)
		}
	}
}

// address is the first IPv4 address on eth0, or "".
func (s *Server) address(name string) (string, error) {
	var state struct {
		Network map[string]struct {
			Addresses []struct{ Address string }
		}
	}
	if err := s.get(fmt.Sprintf("/1.0/instances/%s/state?project=%s", name, s.Project), &state); err != nil {
		return "", err
	}
	for _, a := range state.Network["eth0"].Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && ip.Is4() {
			return a.Address, nil
		}
	}
	return "", nil
}

// Exec runs a command as root and returns what it printed to stdout. The test fails if that fails.
func (c *Container) Exec(tb testing.TB, command ...string) string {
	tb.Helper()
	out, err := c.Try(command...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Try is Exec for those who want the error.
func (c *Container) Try(command ...string) (string, error) {
	return c.server.lxc("", append([]string{"exec", c.Name, "--"}, command...)...)
}

// Await runs the command until it succeeds.
func (c *Container) Await(tb testing.TB, command ...string) {
	tb.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		_, err := c.Try(command...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("container %s: waited in vain: %v", c.Name, err)
		}
	}
}

// Write writes a file, readable by root alone.
func (c *Container) Write(tb testing.TB, path, text string) {
	tb.Helper()
	if _, err := c.server.lxc(text, "file", "push", "-p", "--mode=0600", "--uid=0", "--gid=0", "-", c.Name+path); err != nil {
		tb.Fatal(err)
	}
}

// Kill ends the container as if its power had failed. It is there still, stopped.
func (c *Container) Kill(tb testing.TB) {
	tb.Helper()
	c.server.LXC(tb, "stop", "--force", c.Name)
}
