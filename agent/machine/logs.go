package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/grigri/grigri/internal/agentapi"
)

// Logs is what the machine and its units say: each into its own file in a directory, and all to the controllers.
// Files and memory are bounded: when the controllers cannot be reached for long, the oldest lines do not reach them.
type Logs struct {
	dir    string
	entity string // the machine: who says what Logs itself has to say
	now    func() time.Time
	some   chan struct{} // gets a value when there is something to send

	mu      sync.Mutex
	waiting [][]byte // lines to send
	first   int      // the number of the first of them, of all that ever were
	size    int
	lost    int
	files   map[string]*logFile
}

// The bounds.
const (
	maxWaiting = 4 << 20 // bytes in memory that are not sent yet
	maxBatch   = 1 << 20 // bytes sent at once
	maxFile    = 8 << 20 // bytes of each file; the one before it is kept
	maxMessage = 128 << 10
)

// OpenLogs makes the directory.
func OpenLogs(dir, entity string, now func() time.Time) (*Logs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a place for logs: %w", err)
	}
	return &Logs{dir: dir, entity: entity, now: now, some: make(chan struct{}, 1), files: map[string]*logFile{}}, nil
}

// Line takes one line.
func (l *Logs) Line(line agentapi.LogLine) {
	if len(line.Message) > maxMessage {
		line.Message = line.Message[:maxMessage] + "…"
	}
	text, err := json.Marshal(line)
	if err != nil {
		return // a time out of range: it has no place in a log
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file(line.Entity).write(fmt.Appendf(nil, "%s %s %s %s\n", line.Time.UTC().Format("2006-01-02 15:04:05.000"), line.Level, line.Module, line.Message))
	l.waiting = append(l.waiting, append(text, '\n'))
	l.size += len(text) + 1
	for l.size > maxWaiting {
		l.drop()
		l.lost++
	}
	signal(l.some)
}

func (l *Logs) drop() {
	l.size -= len(l.waiting[0])
	l.waiting = l.waiting[1:]
	l.first++
}

func (l *Logs) file(entity string) *logFile {
	f := l.files[entity]
	if f == nil {
		f = &logFile{name: filepath.Join(l.dir, entity+".log")}
		l.files[entity] = f
	}
	return f
}

// Close closes the files. What is not sent yet is in them.
func (l *Logs) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		f.close()
	}
}

// Logger is a logger of an entity: machine-4, unit-web-0.
func (l *Logs) Logger(entity, module string) *slog.Logger {
	return slog.New(&handler{logs: l, entity: entity, module: module})
}

// pause is how long lines gather before they are sent.
const pause = 250 * time.Millisecond

// ship sends lines until ctx ends, and then, for a moment, what is left.
func (l *Logs) ship(ctx context.Context, send func(context.Context, []byte) error) error {
	return shipping(ctx, l.some, nil, func(ctx context.Context) error { return l.flush(ctx, send) })
}

// shipping flushes soon after there is something to send, or at once when it is to hurry, until ctx ends, and then once more, for a moment.
func shipping(ctx context.Context, some, hurry <-chan struct{}, flush func(context.Context) error) error {
	for delay := minRetry; ctx.Err() == nil; {
		select {
		case <-some:
			gather := time.NewTimer(pause)
			select {
			case <-gather.C:
			case <-hurry:
			case <-ctx.Done():
			}
			gather.Stop()
		case <-ctx.Done():
		}
		for flush(ctx) != nil && ctx.Err() == nil { // not logged: that would have to be sent
			sleep(ctx, delay)
			delay = min(2*delay, maxRetry)
		}
		delay = minRetry
	}
	brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = flush(brief) // what is not sent is in the files
	return context.Cause(ctx)
}

// flush sends all that waits.
func (l *Logs) flush(ctx context.Context, send func(context.Context, []byte) error) error {
	for {
		batch, next := l.batch()
		if len(batch) == 0 {
			return nil
		}
		if err := send(ctx, batch); err != nil {
			return err
		}
		l.sent(next)
	}
}

// batch is the oldest lines that wait, and the number of the first line after them. It is empty when none waits.
func (l *Logs) batch() ([]byte, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b bytes.Buffer
	n := 0
	for n < len(l.waiting) && (n == 0 || b.Len()+len(l.waiting[n]) <= maxBatch) {
		b.Write(l.waiting[n])
		n++
	}
	return b.Bytes(), l.first + n
}

// sent forgets the lines before the one with this number, and tells of those that were lost before they could be sent.
func (l *Logs) sent(next int) {
	l.mu.Lock()
	for l.first < next {
		l.drop()
	}
	if len(l.waiting) == 0 {
		l.waiting = nil // and with it the memory
	}
	lost := l.lost
	l.lost = 0
	l.mu.Unlock()
	if lost > 0 {
		l.Line(agentapi.LogLine{Time: l.now(), Entity: l.entity, Level: "WARNING", Module: "grigri.logs",
			Message: fmt.Sprintf("%d lines did not reach the controllers; they are in %s on the machine", lost, l.dir)})
	}
}

// A logFile is a file that starts anew when it is full. The one before it is kept.
type logFile struct {
	name string
	f    *os.File
	size int64
}

func (f *logFile) write(line []byte) {
	if f.f != nil && f.size+int64(len(line)) > maxFile {
		f.close()
		if os.Rename(f.name, f.name+".1") != nil {
			return
		}
	}
	if f.f == nil && !f.open() {
		return // nowhere to say so
	}
	n, _ := f.f.Write(line)
	f.size += int64(n)
}

func (f *logFile) open() bool {
	var err error
	if f.f, err = os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640); err != nil {
		f.f = nil
		return false
	}
	f.size = 0
	if fi, err := f.f.Stat(); err == nil {
		f.size = fi.Size()
	}
	return true
}

func (f *logFile) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// A handler makes lines of what is logged through slog.
type handler struct {
	logs           *Logs
	entity, module string
	attrs          []slog.Attr
	group          string
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	b := bytes.NewBufferString(r.Message)
	add := func(a slog.Attr) bool {
		fmt.Fprintf(b, " %s=%v", h.group+a.Key, a.Value.Resolve())
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.logs.Line(agentapi.LogLine{Time: r.Time, Entity: h.entity, Level: level(r.Level), Module: h.module, Message: b.String()})
	return nil
}

// level is the level in the words of debug-log.
func level(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	out.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &out
}

func (h *handler) WithGroup(name string) slog.Handler {
	out := *h
	out.group = h.group + name + "."
	return &out
}
