package local_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/reaper"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/local"
)

// startAsOther starts a machine in a process of its own, as a controller does that is killed in the middle of it.
func startAsOther(dir string) int {
	p, err := local.Open(local.Config{Dir: dir, Reaper: []string{os.Args[0], "supervise"}})
	if err == nil {
		_, err = p.Start(context.Background(), provider.StartRequest{Controller: controller, Model: model, Machine: "0", Init: sleeper("0")})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Whenever the controller is killed while it starts a machine, the next one has that machine once: one group of processes, and none beside it.
func TestAStartThatIsKilled(t *testing.T) {
	whole, begin := filepath.Join(t.TempDir(), "whole"), time.Now()
	if out, err := exec.Command(os.Args[0], "start", whole).CombinedOutput(); err != nil {
		t.Fatalf("a start that nobody kills: %v\n%s", err, out)
	}
	took := time.Since(begin)
	p := open(t, whole)
	for _, in := range list(t, p) {
		if err := p.Stop(t.Context(), in.ID); err != nil {
			t.Fatal(err)
		}
	}
	if left := about(t, whole); len(left) > 0 {
		t.Errorf("started and stopped: there are %v", left)
	}
	halfway := 0
	const kills = 24
	for i := range kills { // from the very beginning until after its end
		dir := filepath.Join(t.TempDir(), "m")
		cmd := exec.Command(os.Args[0], "start", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end := time.AfterFunc(took*time.Duration(i)/(kills-2), func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		end.Stop()
		if _, err := os.Stat(dir); err == nil && cmd.ProcessState.ExitCode() != 0 {
			halfway++
		}
		p := open(t, dir)
		in := start(t, p, "0", "exec sleep 1000\n")
		wait(t, "its reaper", func() bool {
			rec, err := reaper.ReadRecord(filepath.Join(dir, string(in.ID), reaper.LockFile))
			return err == nil && rec.Alive()
		})
		rec, err := reaper.ReadRecord(filepath.Join(dir, string(in.ID), reaper.LockFile))
		if err != nil {
			t.Fatal(err)
		}
		wait(t, "it being the only one", func() bool { return slices.Equal(reapers(t, dir), []int{rec.PID}) }) // what it starts looks like it for a moment
		if all := list(t, p); len(all) != 1 || all[0].State != provider.Running {
			t.Errorf("killed after %s: there is %+v", took*time.Duration(i)/(kills-2), all)
		}
		if err := p.Stop(t.Context(), in.ID); err != nil {
			t.Fatal(err)
		}
		if left := about(t, dir); len(left) > 0 {
			t.Errorf("killed after %s and stopped: there are %v", took*time.Duration(i)/(kills-2), left)
		}
	}
	if halfway == 0 {
		t.Error("no start was killed in the middle: this test sees nothing")
	}
}

// reapers is the processes that keep machines of the directory.
func reapers(t *testing.T, dir string) []int {
	t.Helper()
	return slices.DeleteFunc(about(t, dir), func(pid int) bool {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return !bytes.Contains(line, []byte("\x00supervise\x00"))
	})
}

// about is the processes that have the directory in their command line or environment.
func about(t *testing.T, dir string) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, p := range all {
		line, _ := os.ReadFile(p + "/cmdline")
		env, _ := os.ReadFile(p + "/environ")
		var pid int
		_, err := fmt.Sscanf(filepath.Base(p), "%d", &pid)
		if err == nil && pid != os.Getpid() && bytes.Contains(append(line, env...), []byte(dir+"/")) {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}
