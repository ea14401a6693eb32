package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
)

// An outbox is statuses that the controllers have not got yet. They are in a file too, for the agent after this one. What was sent and not
// answered is sent again: the controllers keep nothing twice.
type outbox struct {
	name  string
	log   *slog.Logger
	some  chan struct{} // gets a value when there is something to send
	hurry chan struct{} // gets a value when the machine may soon be no more

	mu      sync.Mutex
	file    *os.File // nil when it cannot be written
	waiting [][]byte
	size    int
	first   int // the number of the first that waits, of all that ever did
	written int // bytes in the file
}

const (
	outboxFile = "statuses"
	maxOutbox  = 2 << 20 // bytes that wait: when the controllers are away for long, the oldest are forgotten
)

// openOutbox finds what the agent before this one has left. An outbox that has no file keeps what it can in memory.
func openOutbox(name string, log *slog.Logger) *outbox {
	o := &outbox{name: name, log: log, some: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("statuses that were not sent are lost", "err", err)
	}
	for line := range bytes.Lines(data) {
		if json.Valid(line) { // otherwise it was cut off
			o.push(append(bytes.TrimRight(line, "\n"), '\n'))
		}
	}
	o.rewrite()
	return o
}

// Add takes a status.
func (o *outbox) Add(s agentapi.Status) {
	line, err := json.Marshal(s)
	if err != nil {
		return // a time out of range: it has no place in a log
	}
	line = append(line, '\n')
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(line)
	if s.Type == state.StatusOfWorkload && s.Status == "terminated" {
		signal(o.hurry)
	}
	switch {
	case o.written+len(line) > 2*maxOutbox:
		o.rewrite()
	case o.file != nil:
		n, err := o.file.Write(line)
		o.written += n
		o.check(err)
	}
}

func (o *outbox) push(line []byte) {
	o.waiting = append(o.waiting, line)
	for o.size += len(line); o.size > maxOutbox; {
		o.drop()
	}
	signal(o.some)
}

func (o *outbox) drop() {
	o.size -= len(o.waiting[0])
	o.waiting = o.waiting[1:]
	o.first++
}

// rewrite makes the file anew with what waits.
func (o *outbox) rewrite() {
	if o.file != nil {
		_ = o.file.Close() // another one takes its place
		o.file = nil
	}
	data := bytes.Join(o.waiting, nil)
	o.written = len(data)
	err := os.WriteFile(o.name+".new", data, 0o600)
	if err == nil {
		err = os.Rename(o.name+".new", o.name)
	}
	if err == nil {
		o.file, err = os.OpenFile(o.name, os.O_WRONLY|os.O_APPEND, 0)
	}
	o.check(err)
}

// check gives up the file after an error, until it is next made anew.
func (o *outbox) check(err error) {
	if err == nil {
		return
	}
	o.log.Warn("statuses that are not sent yet are kept in memory only", "err", err)
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
	o.written = 0
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close() // what is in it is not to be had by waiting
		o.file = nil
	}
}

// ship sends what comes until ctx ends, and then, for a moment, what is left.
func (o *outbox) ship(ctx context.Context, send func(context.Context, []byte) error) error {
	return shipping(ctx, o.some, o.hurry, func(ctx context.Context) error { return o.flush(ctx, send) })
}

func (o *outbox) flush(ctx context.Context, send func(context.Context, []byte) error) error {
	for {
		lines, next := o.batch()
		if len(lines) == 0 {
			return nil
		}
		if err := send(ctx, lines); err != nil {
			return err
		}
		o.sent(next)
	}
}

// batch is the oldest that wait, and the number of the first after them.
func (o *outbox) batch() ([]byte, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b bytes.Buffer
	n := 0
	for n < len(o.waiting) && (n == 0 || b.Len()+len(o.waiting[n]) <= maxBatch) {
		b.Write(o.waiting[n])
		n++
	}
	return b.Bytes(), o.first + n
}

// sent forgets those before the one with this number.
func (o *outbox) sent(next int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.first < next {
		o.drop()
	}
	if len(o.waiting) > 0 {
		return
	}
	o.waiting = nil // and with it the memory
	switch {
	case o.file == nil:
		o.rewrite() // it may be possible again
	case o.written > 0:
		o.check(o.file.Truncate(0))
		o.written = 0
	}
}
