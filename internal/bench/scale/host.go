package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/charm/unpack"
	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/state"
)

// A host is a process that plays machines.
type host struct {
	site    site
	secrets controller.Secrets
	charm   charm.Charm
	begun   time.Time
	counts  *counts
}

// machines plays every machine of which there is an instance and that is of this process's share, and answers questions.
func machines(ctx context.Context, dir, share string) error {
	var own, of int
	if _, err := fmt.Sscanf(share, "%d/%d", &own, &of); err != nil {
		return fmt.Errorf("share %q: %w", share, err)
	}
	h := &host{begun: time.Now().UTC(), counts: &counts{units: map[state.UnitName]*played{}, before: map[state.UnitName]int64{}}}
	var err error
	if h.site, err = readSite(dir); err != nil {
		return err
	}
	if h.secrets, err = controller.LoadSecrets(filepath.Join(dir, controllerDir)); err != nil {
		return err
	}
	if h.charm, err = readCharm(dir); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	ends := &ends{}
	g.Go(func() error { return h.answer(ctx, os.Stdin, ends) })
	f, err := os.OpenFile(filepath.Join(dir, instancesFile), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	atOnce := make(chan struct{}, 16) // machines do not all boot in one instant
	for at, n := int64(0), 0; ; {
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
		instances, read, err := readInstances(f)
		if err != nil {
			return err
		}
		at += read
		for _, in := range instances {
			if n++; n%of != own || in.Model != string(h.site.Model) {
				continue
			}
			id := state.MachineID(in.Machine)
			within, end := context.WithCancel(ctx)
			ends.put(id, end)
			select {
			case atOnce <- struct{}{}:
			case <-ctx.Done():
			}
			g.Go(func() error { h.boot(within, id, func() { <-atOnce }); return nil })
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return g.Wait()
		}
	}
}

// boot runs the machine, again when it fails, until its context ends.
func (h *host) boot(ctx context.Context, id state.MachineID, begun func()) {
	m := &machine{host: h, id: id, units: map[state.UnitName]*played{}}
	for first := true; ctx.Err() == nil; first = false {
		if first {
			time.AfterFunc(20*time.Millisecond, begun)
		}
		if err := m.run(ctx); err != nil && ctx.Err() == nil {
			h.counts.failures.Add(1)
			slog.Warn("a machine begins again", "machine", id, "err", err)
			_ = sleep(ctx, time.Second)
		}
	}
}

// ends is what ends each machine.
type ends struct {
	mu sync.Mutex
	of map[state.MachineID]context.CancelFunc
}

func (e *ends) put(id state.MachineID, end context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = map[state.MachineID]context.CancelFunc{}
	}
	e.of[id] = end
}

func (e *ends) end(id state.MachineID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, ok := e.of[id]
	if ok {
		end()
	}
	return ok
}

// counts is what is counted of all machines of a process. It is the handler of their logs too.
type counts struct {
	in, out, failures, lost, errors atomic.Int64

	mu     sync.Mutex
	units  map[state.UnitName]*played
	before map[state.UnitName]int64 // steps of each when it was last asked
}

func (c *counts) add(name state.UnitName, u *played) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.units[name] = u
}

// A tally is what a process answers: since it was last asked, where it says so.
type tally struct {
	Units    int   `json:"units"`
	Started  int   `json:"started"`
	Steps    int64 `json:"steps"`    // of all time
	Hooks    int64 `json:"hooks"`    // of all time
	In       int64 `json:"in"`       // bytes from ZooKeeper, of all time
	Out      int64 `json:"out"`      // bytes to ZooKeeper, of all time
	Failures int64 `json:"failures"` // machines that began again
	Lost     int64 `json:"lost"`     // sessions that expired
	Errors   int64 `json:"errors"`   // warnings and errors in logs
	Woken    int   `json:"woken"`    // units that have stepped since they were last asked
	Ended    bool  `json:"ended,omitempty"`
}

// add adds another process's.
func (t tally) add(o tally) tally {
	return tally{t.Units + o.Units, t.Started + o.Started, t.Steps + o.Steps, t.Hooks + o.Hooks, t.In + o.In, t.Out + o.Out,
		t.Failures + o.Failures, t.Lost + o.Lost, t.Errors + o.Errors, t.Woken + o.Woken, t.Ended || o.Ended}
}

// ask counts; forget lets Woken begin anew.
func (c *counts) ask(forget bool) tally {
	t := tally{In: c.in.Load(), Out: c.out.Load(), Failures: c.failures.Load(), Lost: c.lost.Load(), Errors: c.errors.Load()}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Units = len(c.units)
	for name, u := range c.units {
		steps := u.steps.Load()
		t.Steps += steps
		t.Hooks += u.hooks.Load()
		if u.started.Load() {
			t.Started++
		}
		if steps != c.before[name] {
			t.Woken++
		}
		if forget {
			c.before[name] = steps
		}
	}
	return t
}

// answer answers one question a line: "ask", "forget", or "end 7" for the end of a machine.
func (h *host) answer(ctx context.Context, questions io.Reader, e *ends) error {
	for lines := bufio.NewScanner(questions); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		t := h.counts.ask(word == "forget")
		if word == "end" {
			t.Ended = e.end(state.MachineID(rest))
		}
		line, err := json.Marshal(t)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return ctx.Err()
}

// Enabled implements slog.Handler.
func (*counts) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (c *counts) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "expired") {
		c.lost.Add(1)
	}
	if strings.Contains(r.Message, "disconnected") {
		return nil // all say so when ZooKeeper goes
	}
	if c.errors.Add(1) <= 20 { // one knows then
		var attrs []string
		r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a.String()); return true })
		fmt.Fprintln(os.Stderr, r.Time.Format(time.TimeOnly), r.Level, r.Message, strings.Join(attrs, " "))
	}
	return nil
}

// WithAttrs and WithGroup implement slog.Handler.
func (c *counts) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *counts) WithGroup(string) slog.Handler      { return c }

func readCharm(dir string) (charm.Charm, error) {
	fsys, err := unpack.Dir(filepath.Join(dir, charmDir))
	if err != nil {
		return charm.Charm{}, err
	}
	return charm.Read(fsys)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
