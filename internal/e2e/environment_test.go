package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/state"
)

const (
	examples = "../../examples/charms/"
	patience = 4 * time.Minute // for an environment to settle, on a machine with much to do
	tick     = 50 * time.Millisecond
)

// bin is where the programs are built, when the first test needs them.
var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = os.MkdirTemp("", "gge"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(bin)
	os.Exit(code)
}

// programs builds what a user runs, once.
var programs = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-o", bin+"/", "../../cmd/grigri", "../../cmd/grigrid", "../../cmd/grigri-agent", "../../cmd/hooktool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
})

// An environment is a controller on this host, made as a user makes it, with one model in focus.
type environment struct {
	*testing.T
	bin  string
	data string   // the client's files, and below them all of the controller's and the machines'
	name string   // of the controller
	env  []string // of the client's commands, beside this process's own
	slow bool     // what is waited for takes minutes
}

// newEnvironment bootstraps. At the test's end everything is killed, and nothing may be left.
func newEnvironment(t *testing.T, model string) *environment {
	t.Helper()
	e := newClient(t, "e2e")
	t.Cleanup(e.end)
	e.must("bootstrap", "local", e.name)
	e.must("add-model", model)
	return e
}

// newClient is an environment that has no controller yet, and is to have one of this name.
func newClient(t *testing.T, name string) *environment {
	t.Helper()
	if testing.Short() {
		t.Skip("takes a while")
	}
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp("", "ggd") // short: unix sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	return &environment{T: t, bin: bin, data: data, name: name}
}

func (e *environment) end() {
	if e.Failed() {
		for _, args := range [][]string{{"status", "--relations"}, {"debug-log", "--replay", "--no-tail", "--level", "INFO"}} {
			out, err := e.run(args...)
			e.Logf("%v: %v\n%s", args, err, last(out, 80))
		}
		log, _ := os.ReadFile(e.controllerFile("grigrid.log"))
		e.Logf("grigrid.log:\n%s", last(string(log), 40))
	}
	if out, err := e.run("kill-controller", e.name, "--no-prompt", "--timeout", "60s"); err != nil {
		e.Errorf("kill-controller: %v\n%s", err, out)
	}
	for _, p := range e.processes() {
		e.Errorf("process %d is left: %s", p.pid, strings.Join(p.args, " "))
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// controllerFile is a file of the controller's own directory.
func (e *environment) controllerFile(elem ...string) string {
	return filepath.Join(append([]string{e.data, "controllers", e.name}, elem...)...)
}

// run runs the client, and returns what it prints to stdout.
func (e *environment) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := e.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("grigri %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stdout.String()+stderr.String()))
	}
	return stdout.String(), err
}

// command is one of the client's.
func (e *environment) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(e.bin, "grigri"), args...)
	cmd.Env = append(append(os.Environ(), "GRIGRI_DATA="+e.data), e.env...)
	return cmd
}

func (e *environment) must(args ...string) string {
	e.Helper()
	out, err := e.run(args...)
	if err != nil {
		e.Fatal(err)
	}
	return out
}

// again runs the client until it succeeds, for a while in which the controller may be away. An error that says that what was asked
// for is there already tells of an earlier try whose answer was lost.
func (e *environment) again(done string, args ...string) {
	e.Helper()
	e.eventually("grigri "+strings.Join(args, " "), func() error {
		_, err := e.run(args...)
		if err != nil && done != "" && strings.Contains(err.Error(), done) {
			return nil
		}
		return err
	})
}

// eventually waits until check finds nothing to object to.
func (e *environment) eventually(what string, check func() error) {
	e.Helper()
	var err error
	patience, tick := patience, tick
	if e.slow {
		patience, tick = 5*patience, 40*tick
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(tick) {
		if err = check(); err == nil {
			return
		}
	}
	e.Fatalf("%s: %v", what, err)
}

// until waits until it holds of the model's status.
func (e *environment) until(what string, holds func(status.Status) bool) {
	e.Helper()
	e.eventually(what, func() error {
		s, err := e.status()
		if err == nil && !holds(s) {
			err = errors.New("it is not so")
		}
		return err
	})
}

func (e *environment) status() (status.Status, error) {
	var st status.Status
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := e.command(ctx, "status", "--format", "json").Output()
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(out, &st)
}

// settled waits until there are exactly so many units of each application, all of them active and idle.
func (e *environment) settled(want map[state.ApplicationName]int) {
	e.Helper()
	e.eventually("the environment settles", func() error {
		st, err := e.status()
		if err != nil {
			return err
		}
		for name := range st.Applications {
			if _, ok := want[name]; !ok {
				return fmt.Errorf("there is %s", name)
			}
		}
		for name, n := range want {
			units := st.Applications[name].Units
			if len(units) != n {
				return fmt.Errorf("%s has %d units", name, len(units))
			}
			for u, is := range units {
				if is.Agent.Current != "idle" || is.Workload.Current != "active" {
					return fmt.Errorf("%s is %s %s, %s %s", u, is.Workload.Current, is.Workload.Message, is.Agent.Current, is.Agent.Message)
				}
			}
		}
		return nil
	})
}

// A process is one of the environment's.
type process struct {
	pid  int
	args []string
}

// program is the name of what it runs.
func (p process) program() string { return filepath.Base(p.args[0]) }

// ended finds nothing to object to once the process is no more, or nothing of it but its exit status: its command line is gone
// a little before its files are closed.
func (p process) ended() error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	if strings.HasPrefix(rest, "Z") {
		return nil
	}
	return fmt.Errorf("process %d is in the state %.1s", p.pid, rest)
}

// processes are those that have to do with the environment's directory, by their command line or where they work; not our own.
func (e *environment) processes() []process {
	var out []process
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		e.Fatal(err)
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", d.Name(), "cmdline"))
		if err != nil || len(line) == 0 {
			continue
		}
		cwd, _ := os.Readlink(filepath.Join("/proc", d.Name(), "cwd"))
		if bytes.Contains(line, []byte(e.data+"/")) || strings.HasPrefix(cwd+"/", e.data+"/") {
			out = append(out, process{pid, strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")})
		}
	}
	return out
}

// kill kills a process of the environment without warning. That it has ended meanwhile is no error.
func (e *environment) kill(p process) {
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		e.Error(err)
	}
}

func last(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// fetch is the page at the URL.
func fetch(url string) (string, error) {
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return string(body), err
}
