package local_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/reaper"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/local"
	"github.com/grigri/grigri/provider/providertest"
)

// The tests run themselves as the reaper, which on a real host is grigri-agent.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := reaper.Main(ctx, os.Args[2:], os.Environ, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "start" {
		os.Exit(startAsOther(os.Args[2]))
	}
	os.Exit(m.Run())
}

const controller, model = "c1", "m1"

func open(t *testing.T, dir string) *local.Provider {
	t.Helper()
	p, err := local.Open(local.Config{Dir: dir, Reaper: []string{os.Args[0], "supervise"}, Grace: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		all, _ := p.List(ctx, controller)
		for _, in := range all {
			if err := p.Stop(ctx, in.ID); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

func sleeper(string) provider.Init { return provider.Init{Script: []byte("exec sleep 1000\n")} }

func TestContract(t *testing.T) {
	dirs := map[*testing.T]string{}
	providertest.Run(t, providertest.Config{
		Init: sleeper,
		Open: func(t *testing.T) provider.Provider {
			if dirs[t] == "" {
				dirs[t] = t.TempDir()
			}
			return open(t, dirs[t])
		},
		Halt: func(t *testing.T, id provider.InstanceID) {
			var rec reaper.Record
			wait(t, "its reaper", func() (ok bool) {
				var err error
				rec, err = reaper.ReadRecord(filepath.Join(dirs[t], string(id), reaper.LockFile))
				return err == nil && rec.Alive()
			})
			if err := unix.Kill(-rec.PID, unix.SIGKILL); err != nil { // it leads its group
				t.Fatal(err)
			}
		},
	})
}

func start(t *testing.T, p *local.Provider, id, script string) provider.Instance {
	t.Helper()
	in, err := p.Start(t.Context(), provider.StartRequest{Controller: controller, Model: model, Machine: id, Init: provider.Init{Script: []byte(script)}})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// process waits until the script on the machine has written its process id to the file.
func process(t *testing.T, file string) reaper.Process {
	t.Helper()
	var p reaper.Process
	wait(t, "a process id in "+file, func() bool {
		data, _ := os.ReadFile(file)
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			return false
		}
		p, err = reaper.Find(pid)
		return err == nil
	})
	return p
}

func list(t *testing.T, p *local.Provider) []provider.Instance {
	t.Helper()
	all, err := p.List(t.Context(), controller)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const workload = `
	cd $GRIGRI_DATA_DIR
	readlink /proc/$(cat daemon)/exe || (setsid sh -c 'echo $$ >daemon; exec sleep 1000' >/dev/null 2>&1 &)
	echo $$ >agent.new; mv agent.new agent
	exec sleep 1000`

func TestStopEndsEverythingAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	in := start(t, p, "0", workload)
	data := filepath.Join(dir, string(in.ID), "data")
	agent, daemon := process(t, data+"/agent"), process(t, data+"/daemon")
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	if agent.Alive() || daemon.Alive() {
		t.Error("a process of the machine outlives it")
	}
	var left []string
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { left = append(left, path); return nil })
	if want := []string{dir, filepath.Join(dir, ".lock")}; !slices.Equal(left, want) {
		t.Errorf("left behind: %v", left)
	}
}

func TestAnAgentComesBackAndItsWorkloadStays(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	in := start(t, p, "0", workload)
	data := filepath.Join(dir, string(in.ID), "data")
	agent, daemon := process(t, data+"/agent"), process(t, data+"/daemon")
	agent.Signal(unix.SIGKILL)
	wait(t, "another agent", func() bool { return process(t, data+"/agent") != agent })
	if !daemon.Alive() {
		t.Error("the workload died with the agent")
	}
}

func TestAMachineWhoseReaperWasKilledIsStartedAgain(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	in := start(t, p, "0", workload)
	data := filepath.Join(dir, string(in.ID), "data")
	agent, daemon := process(t, data+"/agent"), process(t, data+"/daemon")
	lock := filepath.Join(dir, string(in.ID), reaper.LockFile)
	rec, err := reaper.ReadRecord(lock)
	if err != nil {
		t.Fatal(err)
	}
	rec.Process.Signal(unix.SIGKILL)
	wait(t, "the reaper dead", func() bool { return !reaper.Held(lock) })
	if all := list(t, p); len(all) != 1 || all[0].State != provider.Stopped {
		t.Errorf("without its reaper it is %+v", all)
	}
	if again := start(t, p, "0", workload); again.ID != in.ID || again.State != provider.Running || again.Addresses[0] != in.Addresses[0] {
		t.Errorf("it was %+v and is %+v", in, again)
	}
	if daemon.Alive() {
		t.Error("the daemon of before the machine's death runs beside the new one")
	}
	wait(t, "another agent and another daemon", func() bool { return process(t, data+"/agent") != agent && process(t, data+"/daemon") != daemon })
	daemon = process(t, data+"/daemon")
	rec, err = reaper.ReadRecord(lock)
	if err != nil {
		t.Fatal(err)
	}
	rec.Process.Signal(unix.SIGKILL)
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	if daemon.Alive() {
		t.Error("the daemon, whose reaper was killed, outlives the machine")
	}
}

func TestAMachineThatEndedByItselfStaysEnded(t *testing.T) {
	p := open(t, t.TempDir())
	start(t, p, "0", "exit 0")
	wait(t, "ended", func() bool {
		all := list(t, p)
		return len(all) == 1 && all[0].State == provider.Stopped && all[0].Message == "ended by itself"
	})
}

func TestNothingIsKilledOnMissingEvidence(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	in := start(t, p, "0", workload)
	agent := process(t, filepath.Join(dir, string(in.ID), "data/agent"))
	state := filepath.Join(dir, string(in.ID), "machine.json")
	good, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context(), in.ID); err == nil {
		t.Error("a machine whose state cannot be read was stopped")
	}
	if all, err := p.List(t.Context(), controller); err == nil {
		t.Errorf("a directory that cannot be read was listed as %v", all)
	}
	if !agent.Alive() {
		t.Error("the agent was killed")
	}
	if err := os.WriteFile(state, good, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAReusedProcessIDIsNotKilled(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	in := start(t, p, "0", "exit 0") // its reaper ends
	lock := filepath.Join(dir, string(in.ID), reaper.LockFile)
	wait(t, "ended", func() bool { return list(t, p)[0].State == provider.Stopped })
	bystander := exec.Command("sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer bystander.Wait()
	defer bystander.Process.Kill()
	rec := fmt.Sprintf(`{"pid":%d,"start":1,"boot":"x"}`, bystander.Process.Pid)
	if err := os.WriteFile(lock, []byte(rec), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := reaper.Find(bystander.Process.Pid); err != nil {
		t.Error("a process that had come to the reaper's id was killed")
	}
}

func TestAddressesWorkAndAreNeverShared(t *testing.T) {
	one, two := open(t, t.TempDir()), open(t, t.TempDir())
	seen := map[string]bool{}
	for i := range 4 {
		for _, p := range []*local.Provider{one, two} { // the same machine in two directories wants nothing the other has
			a := start(t, p, strconv.Itoa(i), "exec sleep 1000").Addresses[0]
			if seen[a] {
				t.Errorf("%s belongs to two machines", a)
			}
			seen[a] = true
			l, err := net.Listen("tcp", a+":18080") // the same port on each
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
		}
	}
}

func TestTheAddressOfARunningMachineIsRefusedToOthers(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	a := start(t, p, "0", "exec sleep 1000")
	b := start(t, p, "1", "exit 0")
	wait(t, "the second machine ended", func() bool { return list(t, p)[1].State == provider.Stopped })
	// As if another directory had given away the address while the machine was down.
	state := filepath.Join(dir, string(b.ID), "machine.json")
	data, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, []byte(strings.Replace(string(data), b.Addresses[0], a.Addresses[0], 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := start(t, p, "1", ""); again.Addresses[0] == a.Addresses[0] {
		t.Errorf("both have %s", a.Addresses[0])
	}
}

func TestTheConsoleLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	in := start(t, p, "0", "[ -s $GRIGRI_DATA_DIR/n ] || head -c 2000000 /dev/zero; echo >$GRIGRI_DATA_DIR/n; exit 0")
	log := filepath.Join(dir, string(in.ID), "console.log")
	for _, want := range []func(int64) bool{func(n int64) bool { return n > 1<<20 }, func(n int64) bool { return n < 1<<20 }} {
		wait(t, "ended", func() bool { return list(t, p)[0].State == provider.Stopped })
		if fi, err := os.Stat(log); err != nil || !want(fi.Size()) {
			t.Errorf("the log is %+v, %v", fi, err)
		}
		start(t, p, "0", "")
	}
}
