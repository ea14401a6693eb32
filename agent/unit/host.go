package unit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/agent/debug"
	"github.com/grigri/grigri/agent/place"
	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/charm/unpack"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/hooks/serve"
	"github.com/grigri/grigri/state"
)

// A Doer carries out what touches the machine. Host is the real one.
type Doer interface {
	// Unpack puts the files of the charm in place. It may be called again, after a crash too.
	Unpack(ctx context.Context, api API, id charm.ID) error
	// Charm reads the charm whose files are in place.
	Charm() (charm.Charm, error)
	// Resource is the path of the file of a resource of u, which is fetched first unless it is there.
	Resource(ctx context.Context, api API, u state.UnitName, want WantedFile) (path string, err error)
	// Run runs a hook and returns when its process has ended and no tool of it is answered any more. Slow is called
	// once, from another goroutine, when it takes its time. Abort is called there at once, and waits until ctx ends, or
	// until what runs is to be killed, which is true. Both have returned when Run returns. An error means that nothing
	// has run to its end.
	Run(ctx context.Context, r Request) (run.Result, hooks.Effects, error)
	// Save keeps a note over a crash of the agent; nil is no note. Load returns the last one.
	Save(p *Pending) error
	Load() (*Pending, error)
	// Mount puts storage in its place, and is no error when it is there. Unmount takes it from there, with what is in it unless it
	// is persistent; storage that is nowhere is no error. Location is where it is when it is in its place.
	Mount(ctx context.Context, s state.Attachment) error
	Unmount(ctx context.Context, id state.StorageID, force bool) error
	// Placed is all storage that is in its place, or may be.
	Placed() ([]state.StorageID, error)
	Location(s state.Attachment) string
}

// A Request is one hook to run.
type Request struct {
	Model  state.ModelID
	Hook   hooks.Hook
	Facts  run.Facts
	Charm  charm.Charm
	Reader hooks.Reader
	Writer hooks.Writer
	Slow   func()
	Abort  func(ctx context.Context) bool // nil for what cannot be aborted
	Lines  func(Line)
	Now    func() time.Time
}

// Paths is where the things of one unit are.
type Paths struct {
	Agent    string // the unit's directory: agents/unit-web-0
	Tools    string // the directory of its hook tools: tools/unit-web-0
	HookTool string // the program that they are links to
	Storage  place.Config

	// Beside is programs that hooks find with their tools, where they have no place of their own on the machine.
	Beside []run.Link
}

// PathsBelow is the layout that charms rely on, below a data directory.
func PathsBelow(data string, u state.UnitName, hooktool string) Paths {
	own := filepath.Join(data, "agents", u.Tag())
	return Paths{Agent: own, Tools: filepath.Join(data, "tools", u.Tag()), HookTool: hooktool,
		Storage: place.Config{Dir: filepath.Join(data, "storage"), Records: filepath.Join(own, "state", "storage")}}
}

// CharmDir is the directory of the charm's files, in which hooks run.
func (p Paths) CharmDir() string { return filepath.Join(p.Agent, "charm") }

func (p Paths) socket() string  { return filepath.Join(p.Agent, "agent.socket") }
func (p Paths) state() string   { return filepath.Join(p.Agent, "state") }
func (p Paths) pending() string { return filepath.Join(p.state(), "pending") }

// Remove removes all that is the unit's own.
func (p Paths) Remove() error {
	if err := place.Open(p.Storage).Clear(context.Background()); err != nil { // what is not known any more is never removed
		return err
	}
	return errors.Join(os.RemoveAll(p.Tools), os.RemoveAll(p.Agent))
}

// A Host is a Doer on this machine.
type Host struct {
	Paths
	server *serve.Server
	notes  *os.File
	noted  int // bytes in notes
}

// maxNotes is the size at which notes begin anew.
const maxNotes = 256 << 10

// slow is how long a hook may run before status tells of it.
const slow = 200 * time.Millisecond

// OpenHost makes the unit's directories and its hook tools, which are answered while Serve runs.
func OpenHost(p Paths) (*Host, error) {
	for _, d := range []string{p.Agent, p.state()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("make a place for a unit: %w", err)
		}
	}
	if err := run.InstallTools(p.Tools, p.HookTool, serve.Names(), p.Beside...); err != nil {
		return nil, err
	}
	notes, err := os.OpenFile(p.pending(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a place for a unit: %w", err)
	}
	server, err := serve.Listen(p.socket())
	if err != nil {
		return nil, errors.Join(err, notes.Close())
	}
	return &Host{Paths: p, server: server, notes: notes, noted: maxNotes}, nil
}

// Serve answers hook tools until ctx ends. The Host is of no use after it.
func (h *Host) Serve(ctx context.Context) error {
	return errors.Join(h.server.Run(ctx), h.notes.Close())
}

// Close gives up a Host that never serves.
func (h *Host) Close() error { return errors.Join(h.server.Close(), h.notes.Close()) }

// Run implements Doer.
func (h *Host) Run(ctx context.Context, r Request) (run.Result, hooks.Effects, error) {
	running, end := context.WithCancelCause(ctx)
	session := h.server.Begin(serve.Config{Hook: r.Hook, Unit: r.Facts.Unit, Model: r.Model, Charm: r.Charm, Reader: r.Reader, Writer: r.Writer, Now: r.Now,
		RebootNow: func() { end(run.ErrReboot) }})
	told := make(chan struct{})
	timer := time.AfterFunc(slow, func() {
		defer close(told)
		r.Slow()
	})
	var waiting errgroup.Group
	if r.Abort != nil {
		waiting.Go(func() error {
			if r.Abort(running) {
				end(run.ErrAborted)
			}
			return nil
		})
	}
	res, err := run.Run(running, run.Config{
		Hook: r.Hook, Token: session.Token(), Mask: session.Mask, Facts: r.Facts, CharmDir: h.CharmDir(), ToolsDir: h.Tools, Socket: h.socket(),
		Debug: func(ctx context.Context, w run.Window) (int, bool, error) {
			return debug.Ask(ctx, h.Agent, debug.Hook(w))
		},
		Log: func(module, level, line string) {
			r.Lines(Line{Time: r.Now(), Entity: r.Facts.Unit.Tag(), Level: level, Module: module, Message: line})
		},
	})
	effects := session.End()
	end(nil)
	_ = waiting.Wait() // which only waits
	if !timer.Stop() {
		<-told
	}
	return res, effects, err
}

// Charm implements Doer.
func (h *Host) Charm() (charm.Charm, error) { return readCharm(h.CharmDir()) }

func readCharm(dir string) (charm.Charm, error) {
	files, err := unpack.Dir(dir)
	if err != nil {
		return charm.Charm{}, err
	}
	return charm.Read(files)
}

// Unpack implements Doer. What was fetched is not kept: the charm's own directory is what is left of it.
func (h *Host) Unpack(ctx context.Context, api API, id charm.ID) error {
	f, err := os.CreateTemp(h.state(), "archive-*")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil { // the file lives as long as it is open, also through a crash
		return err
	}
	size, err := fetch(ctx, api, id.SHA256, f)
	if err != nil {
		return err
	}
	return unpack.Unpack(h.CharmDir(), f, size, id)
}

// fetch writes the archive to w and checks that it is the right one.
func fetch(ctx context.Context, api API, sum string, w io.Writer) (size int64, err error) {
	body, err := api.Charm(ctx, sum)
	if err != nil {
		return 0, fmt.Errorf("fetch archive %s: %w", sum, err)
	}
	defer body.Close()
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(w, h), body); err != nil {
		return 0, fmt.Errorf("fetch archive %s: %w", sum, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return 0, fmt.Errorf("fetch archive %s: what came has SHA-256 %s and is not used", sum, got)
	}
	return size, nil
}

// Save implements Doer. Notes are lines of a file, the last of which counts: a write of a line is the cheapest thing that
// survives the agent. It need not survive the machine: the processes of a hook do not either.
func (h *Host) Save(p *Pending) error {
	line := append(state.Encode(p), '\n')
	if h.noted+len(line) > maxNotes && (p == nil || !p.Ended) { // what is there is of hooks that are committed
		if err := h.notes.Truncate(0); err != nil {
			return fmt.Errorf("note what runs: %w", err)
		}
		h.noted = 0
	}
	n, err := h.notes.Write(line)
	h.noted += n
	if err != nil {
		return fmt.Errorf("note what runs: %w", err)
	}
	return nil
}

// Load implements Doer.
func (h *Host) Load() (*Pending, error) {
	data, err := os.ReadFile(h.notes.Name())
	if err != nil {
		return nil, fmt.Errorf("find what was running: %w", err)
	}
	end := bytes.LastIndexByte(data, '\n') // what follows was cut off as it was written: its hook has not begun
	if end < 0 {
		return nil, nil
	}
	var p *Pending
	if err := json.Unmarshal(data[bytes.LastIndexByte(data[:end], '\n')+1:end], &p); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove the file to go on as if no hook had been running", h.notes.Name(), err)
	}
	return p, nil
}
