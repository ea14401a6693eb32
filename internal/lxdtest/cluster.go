package lxdtest

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

//go:embed member
var memberScript []byte

// A Member is an LXD of the test's own, in namespaces of its own: what it starts and mounts ends with it, and its network is seen by
// nobody but the others that are linked to it.
type Member struct {
	Name    string
	Dir     string // LXD_DIR
	Socket  string
	Address string // host:port, in the network of those that are linked
	Tiny    string // alias of an image of busybox, when it serves

	root string // of all that were started together
	pid  int
	cmd  *exec.Cmd
	work errgroup.Group
}

// Members starts LXDs with these names, whose networks are linked: each reaches the others by their addresses. What is in env is in
// the environment of each. They end, with all that is theirs, with the test, and with its process if that is killed.
func Members(tb testing.TB, env []string, names ...string) []*Member {
	tb.Helper()
	need(tb)
	root, err := os.MkdirTemp("", "gl") // a short one: unix sockets lie below it
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			tb.Error(err)
		}
	})
	if err := os.Chmod(root, 0o711); err != nil { // containers' users pass through
		tb.Fatal(err)
	}
	var all []*Member
	for n, name := range names {
		m := &Member{Name: name, Dir: filepath.Join(root, name), root: root, Address: fmt.Sprintf("10.214.0.%d:8443", n+1)}
		m.Socket = filepath.Join(m.Dir, "unix.socket")
		if err := m.run(env); err != nil {
			tb.Fatalf("start LXD %s: %v", name, err)
		}
		tb.Cleanup(m.Kill)
		all = append(all, m)
	}
	for _, m := range all {
		if out, err := m.LXD("waitready", "--timeout=60"); err != nil {
			tb.Fatalf("%v: %s; it has said\n%s", err, out, m.log())
		}
		if err := m.link(all[0]); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// Cluster makes one of the members, of which the first serves.
func Cluster(tb testing.TB, members []*Member) {
	tb.Helper()
	first := members[0]
	first.Serve(tb)
	first.LXC(tb, "cluster", "enable", first.Name)
	first.LXC(tb, "config", "set", "cluster.offline_threshold=11") // seconds, the least that there is
	for _, m := range members[1:] {
		lines := strings.Fields(first.LXC(tb, "cluster", "add", m.Name))
		preseed := fmt.Sprintf("{config: {core.https_address: %q}, cluster: {server_name: %s, enabled: true, server_address: %q, cluster_token: %s}}",
			m.Address, m.Name, m.Address, lines[len(lines)-1])
		cmd := m.within("lxd", "init", "--preseed")
		cmd.Stdin = strings.NewReader(preseed)
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("%s joins the cluster: %v: %s", m.Name, err, out)
		}
		m.Tiny = first.Tiny
	}
}

// Serve has it listen to the others, and gives it a pool with the name Pool and the tiny image.
func (m *Member) Serve(tb testing.TB) {
	tb.Helper()
	file, alias, err := imageFile("tiny", tinyScript)
	if err != nil {
		tb.Fatal(err)
	}
	m.Tiny = alias
	m.LXC(tb, "config", "set", "core.https_address="+m.Address)
	m.LXC(tb, "storage", "create", Pool, "dir")
	m.LXC(tb, "image", "import", file, "--alias", alias)
}

// Image is the file of the tiny image, and its fingerprint. Others may get it from this LXD.
func (m *Member) Image(tb testing.TB) (file, fingerprint string) {
	tb.Helper()
	file, _, err := imageFile("tiny", tinyScript)
	if err != nil {
		tb.Fatal(err)
	}
	fingerprint = strings.TrimSpace(m.LXC(tb, "image", "list", "-f", "csv", "-c", "F", m.Tiny))
	m.LXC(tb, "query", "-X", "PATCH", "-d", `{"public": true}`, "/1.0/images/"+fingerprint)
	return file, fingerprint
}

// LXC runs lxc and returns what it printed to stdout. The test fails if that fails.
func (m *Member) LXC(tb testing.TB, args ...string) string {
	tb.Helper()
	cmd := m.within("lxc", args...)
	var errw strings.Builder
	cmd.Stderr = &errw
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("lxc %s, on %s: %v: %s", strings.Join(args, " "), m.Name, err, errw.String())
	}
	return string(out)
}

// LXD runs a command of lxd's own.
func (m *Member) LXD(args ...string) (string, error) {
	out, err := m.within("lxd", args...).CombinedOutput()
	return string(out), err
}

// within is a command in the member's network, that speaks to it.
func (m *Member) within(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"-n", "-t", strconv.Itoa(m.pid), name}, args...)...)
	cmd.Env = append(os.Environ(), "LXD_DIR="+m.Dir, "LXD_CONF="+filepath.Join(m.root, "client"))
	return cmd
}

// Listen listens in the member's network.
func (m *Member) Listen(tb testing.TB, address string) net.Listener {
	tb.Helper()
	l, err := m.listen(address)
	if err != nil {
		tb.Fatalf("listen at %s in the network of %s: %v", address, m.Name, err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

func (m *Member) listen(address string) (net.Listener, error) {
	runtime.LockOSThread() // a thread that does not come home ends with its goroutine
	home, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return nil, err
	}
	defer home.Close()
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.pid))
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, back
	}
	runtime.UnlockOSThread()
	return l, err
}

// Kill ends it as if its host had lost its power: its containers too.
func (m *Member) Kill() {
	_ = m.cmd.Process.Kill()
	_ = m.work.Wait()
	for end := time.Now().Add(10 * time.Second); m.groups() > 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
	}
}

// groups removes the control groups of its containers, which the kernel leaves when they are empty, and says how many are not yet.
func (m *Member) groups() (busy int) {
	for _, c := range glob(m.Dir + "/containers/*") {
		name := "/sys/fs/cgroup/*/lxc.*." + filepath.Base(c)
		for _, group := range append(glob(name), glob(name+"-[0-9]")...) {
			var dirs []string
			_ = filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for _, dir := range slices.Backward(dirs) {
				if os.Remove(dir) != nil {
					busy++
				}
			}
		}
	}
	return busy
}

func glob(pattern string) []string {
	found, _ := filepath.Glob(pattern) // the pattern is well formed
	return found
}

// run starts the daemon, whose first thread ends only with it: the kernel kills it when that thread ends.
func (m *Member) run(env []string) error {
	script := m.Dir + ".sh"
	if err := os.WriteFile(script, memberScript, 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(m.Dir, 0o711); err != nil {
		return err
	}
	log, err := os.Create(m.Dir + ".log")
	if err != nil {
		return err
	}
	m.cmd = exec.Command("/bin/sh", script, m.Dir)
	m.cmd.Env, m.cmd.Stdout, m.cmd.Stderr = append(os.Environ(), env...), log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET, Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	m.work.Go(func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := m.cmd.Start()
		started <- err
		if err != nil {
			return err
		}
		return m.cmd.Wait()
	})
	if err := <-started; err != nil {
		return err
	}
	m.pid = m.cmd.Process.Pid
	return nil
}

func (m *Member) log() string {
	text, _ := os.ReadFile(m.Dir + ".log")
	return string(text)
}

// link puts the member's network beside that of the first, which has the bridge.
func (m *Member) link(first *Member) error {
	host, _, _ := net.SplitHostPort(m.Address)
	device := "link0"
	lines := [][]string{{"link", "add", device, "type", "bridge"}}
	if m != first {
		lines = [][]string{{"link", "add", device, "type", "veth", "peer", "name", "to" + m.Name, "netns", strconv.Itoa(first.pid)}}
	}
	lines = append(lines, []string{"addr", "add", host + "/24", "dev", device}, []string{"link", "set", device, "up"})
	for _, args := range lines {
		if out, err := m.within("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s, in the network of %s: %w: %s", strings.Join(args, " "), m.Name, err, out)
		}
	}
	if m == first {
		return nil
	}
	if out, err := first.within("ip", "link", "set", "to"+m.Name, "master", device, "up").CombinedOutput(); err != nil {
		return fmt.Errorf("link %s: %w: %s", m.Name, err, out)
	}
	return nil
}
