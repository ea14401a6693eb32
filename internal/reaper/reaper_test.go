package reaper_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/reaper"
)

// The tests run themselves as the reaper: it must be a process of its own.
func TestMain(m *testing.M) {
	if script := os.Getenv("REAPER_SCRIPT"); script != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err := reaper.Run(ctx, reaper.Config{Command: []string{"/bin/sh", "-c", script}, Dir: "/", Env: os.Environ,
			Grace: 500 * time.Millisecond, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, script string) (*exec.Cmd, string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REAPER_SCRIPT="+script, "D="+dir)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	return cmd, dir
}

func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func pid(t *testing.T, file string) int {
	t.Helper()
	var n int
	wait(t, "a process id in "+file, func() bool {
		data, _ := os.ReadFile(file)
		var err error
		n, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil
	})
	return n
}

func running(pid int) bool {
	_, err := reaper.Find(pid)
	return err == nil
}

func TestCommandComesBackAndItsDaemonsStay(t *testing.T) {
	_, dir := start(t, `
		[ -e $D/daemon ] || setsid sh -c 'echo $$ >$D/daemon; exec sleep 300' >/dev/null 2>&1 &
		echo $$ >$D/pid.tmp; mv $D/pid.tmp $D/pid; exec sleep 300`)
	first, daemon := pid(t, dir+"/pid"), pid(t, dir+"/daemon")
	unix.Kill(first, unix.SIGKILL)
	wait(t, "another process", func() bool { return pid(t, dir+"/pid") != first })
	if !running(daemon) {
		t.Error("the daemon died with the command")
	}
}

func TestNothingOutlivesTheReaper(t *testing.T) {
	// Deaf to SIGTERM, in a session of its own, and without a parent.
	cmd, dir := start(t, `
		(setsid sh -c 'trap "" TERM; echo $$ >$D/deaf; while :; do sleep 1; done' &)
		(setsid sh -c 'echo $$ >$D/polite; exec sleep 300' &)
		echo $$ >$D/pid; exec sleep 300`)
	pids := []int{pid(t, dir+"/pid"), pid(t, dir+"/deaf"), pid(t, dir+"/polite")}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, p := range pids {
		if running(p) {
			t.Errorf("process %d is still there", p)
		}
	}
}

func TestStatusZeroEndsIt(t *testing.T) {
	cmd, dir := start(t, `
		(setsid sh -c 'echo $$ >$D/daemon; exec sleep 300' &)
		while ! [ -s $D/daemon ]; do :; done
		[ -e $D/twice ] && exit 0; touch $D/twice; exit 3`)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "twice")); err != nil {
		t.Error(err)
	}
	if p := pid(t, dir+"/daemon"); running(p) {
		t.Errorf("process %d is still there", p)
	}
}

func TestTheCommandHearsOfTheReapersDeath(t *testing.T) {
	cmd, dir := start(t, `trap 'touch $D/told; exit 1' TERM; echo $$ >$D/pid; while :; do sleep 0.05; done`)
	pid(t, dir+"/pid")
	cmd.Process.Kill()
	cmd.Wait()
	wait(t, "the command told", func() bool { _, err := os.Stat(dir + "/told"); return err == nil })
}

func TestASignalNeverReachesAnotherProcess(t *testing.T) {
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	p, err := reaper.Find(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	older := p
	older.Start--
	otherBoot := p
	otherBoot.Boot = "x"
	for _, not := range []reaper.Process{older, otherBoot} {
		if not.Alive() {
			t.Errorf("%v counts as alive", not)
		}
		if err := not.Signal(unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	if !p.Alive() {
		t.Fatal("the wrong process was killed")
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait(t, "the process killed", func() bool { return !p.Alive() })
}

// The command asks for the machine to start again: all that it has started ends, and it begins anew.
func TestTheMachineStartsAgain(t *testing.T) {
	cmd, dir := start(t, `if [ -e $D/first ]; then touch $D/second; exit 0; fi; touch $D/first; setsid sh -c 'echo $$ >$D/daemon; exec sleep 300' & while [ ! -s $D/daemon ]; do sleep 0.01; done; exit 3`)
	daemon := pid(t, dir+"/daemon")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "second")); err != nil {
		t.Error(err)
	}
	if running(daemon) {
		t.Errorf("process %d is still there", daemon)
	}
}
