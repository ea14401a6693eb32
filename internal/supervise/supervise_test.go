package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

// parentVar makes this test binary a process that keeps a child running until it is killed.
const parentVar = "SUPERVISE_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVar) != "" {
		_ = Run(context.Background(), Config{Name: "child", Path: "sleep", Args: []string{"1000"}, Started: func(pid int) { fmt.Println(pid) }})
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// shell runs a script until the test's end, and gives the process of each of its lives.
func shell(t *testing.T, c Config, script string) (pids <-chan int, stop func() error) {
	t.Helper()
	ch := make(chan int, 100)
	c.Name, c.Path, c.Args = "script", "/bin/sh", []string{"-c", script}
	c.Started = func(pid int) { ch <- pid }
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return Run(ctx, c) })
	stop = func() error {
		cancel()
		return g.Wait()
	}
	t.Cleanup(func() { _ = stop() })
	return ch, stop
}

func TestRestarts(t *testing.T) {
	pids, stop := shell(t, Config{}, "exec sleep 1000")
	first := <-pids
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := <-pids
	if second == first {
		t.Errorf("process %d started twice", first)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{first, second} {
		if alive(pid) {
			t.Errorf("process %d is left behind", pid)
		}
	}
}

// A life that Begin refuses has ended as one that could not start, and the next is tried.
func TestBegins(t *testing.T) {
	refused := errors.New("not yet")
	tries := 0
	judged := make(chan End, 1)
	pids, _ := shell(t, Config{
		Begin: func() error {
			tries++
			if tries == 1 {
				return refused
			}
			return nil
		},
		Judge: func(end End) (error, bool) { judged <- end; return end.Err, false },
	}, "exec sleep 1000")
	if end := <-judged; !errors.Is(end.Err, refused) || end.Exited() {
		t.Errorf("it ended with %v", end.Err)
	}
	<-pids
}

func TestRestartsAfterSuccess(t *testing.T) {
	pids, _ := shell(t, Config{}, "exit 0")
	<-pids
	<-pids
}

func TestStopsGently(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	out := make(lines, 10)
	_, stop := shell(t, Config{Output: out}, "trap 'echo ended > "+file+"; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	<-out
	if err := stop(); err != nil {
		t.Error(err)
	}
	if data, _ := os.ReadFile(file); string(data) != "ended\n" {
		t.Errorf("the process was killed before it could end: %q", data)
	}
}

func TestKillsTheDeaf(t *testing.T) {
	out := make(lines, 10)
	pids, stop := shell(t, Config{Output: out, Grace: 50 * time.Millisecond}, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
	pid := <-pids
	<-out
	if err := stop(); err != nil {
		t.Error(err)
	}
	if alive(pid) {
		t.Errorf("process %d is left behind", pid)
	}
}

func TestEndsTheGroup(t *testing.T) {
	out := make(lines, 10)
	pids, _ := shell(t, Config{Output: out}, "sleep 1000 & echo $!")
	grandchild, err := strconv.Atoi(<-out)
	if err != nil {
		t.Fatal(err)
	}
	<-pids
	<-pids // its next life
	if alive(grandchild) {
		t.Errorf("process %d is left behind", grandchild)
	}
}

func TestGivesUp(t *testing.T) {
	var ends []End
	reason := errors.New("three times")
	err := Run(t.Context(), Config{Name: "script", Path: "/bin/sh", Args: []string{"-c", "echo first; echo last >&2; exit 7"}, Judge: func(e End) (error, bool) {
		ends = append(ends, e)
		return reason, e.Failed == 3
	}})
	if !errors.Is(err, reason) || !strings.Contains(err.Error(), "script") {
		t.Errorf("Run returns %v", err)
	}
	if len(ends) != 3 {
		t.Fatalf("%d lives, want 3", len(ends))
	}
	if e := ends[2]; !e.Exited() || e.Tail != "first\nlast" || e.Err.Error() != "exit status 7" {
		t.Errorf("the end was %+v", e)
	}
}

func TestExited(t *testing.T) {
	for _, c := range []struct {
		path, script string
		want         bool
	}{
		{"/bin/sh", "exit 0", true},
		{"/bin/sh", "exit 1", true},
		{"/bin/sh", "kill -9 $$", false},
		{"/nonexistent/program", "", false},
	} {
		var got End
		_ = Run(t.Context(), Config{Path: c.path, Args: []string{"-c", c.script}, Judge: func(e End) (error, bool) {
			got = e
			return e.Err, true
		}})
		if got.Exited() != c.want {
			t.Errorf("%s %q exited by itself: %v: %v", c.path, c.script, got.Exited(), got.Err)
		}
	}
}

func TestContextEndedBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Config{Path: "/bin/sh", Args: []string{"-c", "exit 1"}}); err != nil {
		t.Error(err)
	}
}

func TestDiesWithItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVar+"=yes")
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
	waitUntil(t, func() bool { return !alive(pid) })
}

// The kernel kills the child when the thread that forked it ends. While our goroutine waits, threads of others end.
func TestOutlivesOtherThreads(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, Config{Name: "sleep", Path: "sleep", Args: []string{"1000"}, Started: func(pid int) {
		for range 20 {
			var g errgroup.Group
			for range 20 {
				g.Go(func() error {
					runtime.LockOSThread() // and ends it
					return nil
				})
			}
			_ = g.Wait()
		}
		if !alive(pid) {
			t.Errorf("process %d was killed", pid)
		}
		cancel()
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestAfter(t *testing.T) {
	var e End
	for i, c := range []struct {
		lived   time.Duration
		failed  int
		settled bool
	}{
		{time.Second, 1, false},
		{9 * time.Second, 2, false},
		{10 * time.Second, 0, true},
		{time.Second, 1, true},
		{time.Second, 2, true},
		{time.Hour, 0, true},
	} {
		e = End{Lived: c.lived}.after(e)
		if e.Failed != c.failed || e.Settled != c.settled {
			t.Errorf("end %d, after %v: failed %d, settled %v; want %d, %v", i, c.lived, e.Failed, e.Settled, c.failed, c.settled)
		}
	}
}

func TestDelay(t *testing.T) {
	for _, c := range []struct {
		failed   int
		from, to time.Duration
	}{
		{0, 50 * time.Millisecond, 100 * time.Millisecond},
		{1, 50 * time.Millisecond, 100 * time.Millisecond},
		{2, 100 * time.Millisecond, 200 * time.Millisecond},
		{7, 3200 * time.Millisecond, 6400 * time.Millisecond},
		{8, 5 * time.Second, 10 * time.Second},
		{1 << 40, 5 * time.Second, 10 * time.Second},
	} {
		if got := delay(c.failed, 0); got != c.from {
			t.Errorf("after %d failures the shortest delay is %v, want %v", c.failed, got, c.from)
		}
		if got := delay(c.failed, 0.999); got >= c.to || got < c.from {
			t.Errorf("after %d failures the longest delay is %v, want nearly %v", c.failed, got, c.to)
		}
	}
}

// lines is an Output whose receiver gets each line.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		select {
		case l <- strings.TrimSpace(line):
		default:
		}
	}
	return len(p), nil
}

// alive says whether the process runs; one that has ended and waits for its parent does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("not so after a minute")
		}
		runtime.Gosched()
	}
}
