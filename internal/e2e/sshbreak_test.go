package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/sshtest"
	"github.com/grigri/grigri/internal/wiretest"
)

// Connections that end or fall silent while a host is made a machine, or has a controller put on it. What is said names the step, nothing is
// left where the host can be reached, and a repeat works.
func TestSSHThatBreaks(t *testing.T) {
	t.Parallel() // much of it is waiting
	e := newEnvironment(t, "metal")
	e.env = []string{"SSH_AUTH_SOCK="}
	t.Run("cases", func(t *testing.T) { // a group: the controller goes after all of them
		for name, f := range map[string]func(*environment){"add-machine": addMachineBreaks, "bootstrap": bootstrapBreaks, "silence": bootstrapHangs} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				own := *e
				own.T = t
				f(&own)
			})
		}
	})
}

// A wired host is reached over a line.
type wired struct {
	*sshtest.Host
	*wiretest.Line
	before []string
}

func newWired(t *testing.T, c sshtest.Config) wired {
	h := sshtest.Start(t, c)
	return wired{h, wiretest.StartLine(t, fmt.Sprintf("%s:%d", h.Address, h.Port)), changes(t, h)}
}

// on is the flags, and before them the target, of a command.
func (w wired) on(words ...string) []string {
	return append(words, "--private-key", w.KeyFile, "--host-key", w.HostKey)
}

func (w wired) target() string { return fmt.Sprintf("root@127.0.0.1:%d", w.Line.Port) }

// isClean wants the host to be as it was.
func (w wired) isClean(e *environment, when string) {
	e.Helper()
	if now := changes(e.T, w.Host); !slices.Equal(now, w.before) {
		e.Errorf("%s the host is not as it was:\n%s", when, strings.Join(now, "\n"))
	}
	if left := w.Run(e.T, "ps -eo args | grep '[g]rigri' || true"); left != "" {
		e.Errorf("%s there runs on the host:\n%s", when, left)
	}
}

// steps is how what add-machine says begins.
var steps = regexp.MustCompile(`ERROR add root@127\.0\.0\.1:\d+: (connect to|become root on|have the host to ourselves:|find out what the host is:|run the init script:|let the key of root in:)`)

func addMachineBreaks(e *environment) {
	w := newWired(e.T, sshtest.Config{Setup: slowTar + "touch /tmp/go"})
	args := w.on("add-machine", "ssh:"+w.target())
	none := func(when string) {
		e.Helper()
		e.eventually(when+" no machine", func() error {
			if n := len(e.now().Machines); n > 0 {
				return fmt.Errorf("there are %d", n)
			}
			return nil
		})
	}
	added := func(when string) {
		e.Helper()
		e.must(args...)
		for id := range e.now().Machines {
			e.must("remove-machine", string(id), "--no-prompt")
		}
		none(when)
		e.eventually("the host as it was", func() error {
			if now := changes(e.T, w.Host); !slices.Equal(now, w.before) {
				return fmt.Errorf("%s it is:\n%s", when, strings.Join(now, "\n"))
			}
			return nil
		})
	}
	added("without a fault")
	all := w.Passed()
	const n = 8
	for i := range int64(n) {
		harm, when := wiretest.CutLine, fmt.Sprintf("cut after %d eighths", i)
		if i == 6 {
			harm = wiretest.Down
		}
		w.After(max(1, all*i/n), harm)
		_, err := e.run(args...)
		w.Mend()
		if err == nil || !steps.MatchString(err.Error()) {
			e.Errorf("%s: %v", when, err)
		}
		none(when)
		if harm == wiretest.Down && !strings.Contains(err.Error(), "add it again to have it cleaned") {
			e.Errorf("%s it does not say what to do: %v", when, err)
		} else if harm == wiretest.CutLine {
			w.isClean(e, when)
		}
	}
	w.Run(e.T, "rm /tmp/go") // now it is in the midst of it for as long as we like
	out, err := e.hearing("installing the agent", func(*os.Process) {
		for len(changes(e.T, w.Host)) == len(w.before) {
			time.Sleep(tick)
		}
		if _, err := e.run(args...); err == nil || !strings.Contains(err.Error(), "somebody else is making a machine of it") {
			e.Errorf("two at once: %v", err)
		}
		w.After(0, wiretest.CutLine)
	}, args...)
	if err == nil || !strings.Contains(out, "run the init script: the connection is broken") {
		e.Errorf("cut in the midst of it: %v\n%s", err, out)
	}
	w.isClean(e, "cut in the midst of it")
	w.Run(e.T, "touch /tmp/go")
	added("at last")
}

const sftpServer = "/usr/lib/openssh/sftp-server"

// bootstrapBreaks breaks the connection in each step after the host has been claimed, and interrupts the client.
func bootstrapBreaks(e *environment) {
	// The host waits in the first steps, however late we hear of them.
	w := newWired(e.T, sshtest.Config{Network: true, Setup: held("/usr/bin/uname", "/tmp/look") + held(sftpServer, "/tmp/put")})
	args := w.on("bootstrap", "manual/"+w.target(), "far", "--no-switch")
	cut := func(_ *os.Process) { w.After(0, wiretest.CutLine) }
	midway := func(_ *os.Process) { w.After(1<<20, wiretest.CutLine) }
	interrupt := func(p *os.Process) { _ = p.Signal(os.Interrupt) }
	const putting = "putting the programs there"
	for _, f := range []struct {
		at   string
		harm func(*os.Process)
		want string
	}{
		{"looking at the machine", cut, "look at the machine: the connection is broken"},
		{putting, cut, "put grigri"},
		{putting, midway, "put grigri"},
		{"making the controller", cut, "the connection is broken"},
		{"starting the controller", cut, "start the controller: the connection is broken"},
		{putting, interrupt, "interrupted: all that was made has been removed"},
	} {
		if f.at == putting {
			w.Run(e.T, "rm -f /tmp/put")
		}
		out, err := e.hearing(f.at, func(p *os.Process) {
			f.harm(p)
			w.Run(e.T, "touch /tmp/look /tmp/put")
		}, args...)
		if err == nil || !strings.Contains(out, f.want) || !strings.Contains(out, "ERROR") {
			e.Errorf("at %q: %v: want %q in\n%s", f.at, err, f.want, out)
		}
		w.isClean(e, "at "+f.at)
	}
}

// bootstrapHangs loses the host in the midst of it, which ends at a deadline. When the host is back what is left can be removed.
func bootstrapHangs(e *environment) {
	w := newWired(e.T, sshtest.Config{Network: true, Setup: held(sftpServer, "/tmp/put")})
	silence := func(*os.Process) {
		w.After(1<<20, wiretest.Silence)
		w.Run(e.T, "touch /tmp/put")
	}
	out, err := e.hearing("putting the programs there", silence, w.on("bootstrap", "manual/"+w.target(), "silent", "--no-switch")...)
	w.Mend()
	if err == nil || !strings.Contains(out, "put grigri") || !strings.Contains(out, "the host does not answer") || !strings.Contains(out, "grigri kill-controller silent") {
		e.Errorf("%v: it says\n%s", err, out)
	}
	e.must(w.on("kill-controller", "silent", "--no-prompt")...)
	w.isClean(e, "after kill-controller")
}

// hearing runs the client, and does the harm when it says the word. It returns all that it says.
func (e *environment) hearing(word string, harm func(*os.Process), args ...string) (string, error) {
	e.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := e.command(ctx, args...)
	said := &listener{word: word, heard: func() { harm(cmd.Process) }}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	return said.text.String(), err
}

// A listener hears a word once.
type listener struct {
	word  string
	heard func()
	mu    sync.Mutex
	text  strings.Builder
}

// Write implements io.Writer.
func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := strings.Contains(l.text.String(), l.word)
	l.text.Write(p)
	if !before && strings.Contains(l.text.String(), l.word) {
		l.heard()
	}
	return len(p), nil
}
