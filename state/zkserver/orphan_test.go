package zkserver_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state/zkserver"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

// parentVar makes this test binary a process that runs ZooKeeper in the directory it names, until it is killed.
const parentVar = "ZKSERVER_TEST_PARENT"

func parent() int {
	a, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		return 1
	}
	id, err := a.Identity(pki.Request{Subject: pki.ZooKeeperName(), Use: pki.Both, Hosts: []string{pki.ZooKeeperHost}, Now: time.Now()})
	if err != nil {
		return 1
	}
	conf, err := id.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		return 1
	}
	var pid int
	c := zkserver.Config{
		Dir: os.Getenv(parentVar), Listen: "127.0.0.1:0", Identity: id, Super: pki.ControllerName().String(),
		Started: func(p int) { pid = p },
	}
	addr, err := zkserver.Prepare(c)
	if err != nil {
		return 1
	}
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error { return zkserver.Run(ctx, c) })
	if err := zkserver.Ready(ctx, addr, conf); err == nil {
		fmt.Println(pid)
	}
	fmt.Fprintln(os.Stderr, g.Wait())
	return 1
}

func TestDiesWithItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVar+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatalf("process %d does not run", pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	waitGone(t, pid)
}

func TestEndsWithContext(t *testing.T) {
	var pid int
	t.Run("life", func(t *testing.T) { pid = zktest.Start(t).PID() })
	if alive(pid) {
		t.Errorf("ZooKeeper %d still runs after Run has returned", pid)
	}
}

// alive says whether the process runs; one that has ended and waits for its parent does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && syscall.Kill(pid, 0) == nil
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
