package run

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

const (
	lineSize   = 4096      // a longer line is several
	tailLines  = 20        // what the record of a failure keeps,
	tailWidth  = 300       // and of each line
	maxCapture = 160 << 10 // of each stream of an action: its result has to fit into a node
	maxDirect  = 16 << 20  // of each stream of what was called on the machine: whoever did has it at once
)

// A Capture is what one stream of an action or command said.
type Capture struct {
	Text []byte
	Lost int // bytes at the end that were too many
}

// Results is what every action reports of its process, beside what its script has set.
func (r Result) Results() map[string]any {
	m := map[string]any{"return-code": r.Code}
	r.Stdout.report(m, "stdout")
	r.Stderr.report(m, "stderr")
	return m
}

func (c Capture) report(m map[string]any, name string) {
	text := c.Text
	if c.Lost > 0 {
		text = wholeRunes(text)
	}
	switch {
	case len(text) == 0:
		return
	case utf8.Valid(text) && len(state.Encode(string(text))) <= base64.StdEncoding.EncodedLen(maxCapture):
		m[name] = string(text)
	default:
		m[name] = base64.StdEncoding.EncodeToString(text)
		m[name+"-encoding"] = "base64"
	}
	if c.Lost > 0 {
		m[name+"-truncated"] = fmt.Sprintf("%d bytes more", c.Lost)
	}
}

// wholeRunes is text without a character at its end that has been cut in two.
func wholeRunes(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i > len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}

// output is both streams of a process.
type output struct {
	stdout, stderr *stream
	tail           *tail
}

func openOutput(c Config) (output, error) {
	t := &tail{}
	stdout, err := openStream(c, "DEBUG", t)
	if err != nil {
		return output{}, err
	}
	stderr, err := openStream(c, "WARNING", t)
	if err != nil {
		stdout.close()
		return output{}, err
	}
	return output{stdout, stderr, t}, nil
}

// closeWriters leaves the processes as the only writers, so that their end is the end of the streams.
func (o output) closeWriters() {
	o.stdout.write.Close()
	o.stderr.write.Close()
}

// endIn ends both streams after d, whoever still holds them.
func (o output) endIn(d time.Duration) {
	deadline := time.Now().Add(d)
	_ = o.stdout.from.SetReadDeadline(deadline)
	_ = o.stderr.from.SetReadDeadline(deadline)
}

func (o output) close() {
	o.stdout.close()
	o.stderr.close()
}

// A stream is one of the two: what the process writes is read, split into lines, logged, and kept if asked for.
type stream struct {
	from, write *os.File
	log         func(line string)
	keep        int // so many bytes
	capture     Capture
	rest        *bytes.Reader // what was in the pipe at the deadline; nil before
}

func openStream(c Config, level string, t *tail) (*stream, error) {
	from, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	module := c.module()
	log := func(line string) {
		if c.Mask != nil {
			line = c.Mask(line)
		}
		t.add(line)
		if c.Log != nil {
			c.Log(module, level, line)
		}
	}
	keep := map[hooks.Kind]int{hooks.Action: maxCapture, hooks.Command: maxDirect}[c.Hook.Kind]
	return &stream{from: from, write: write, log: log, keep: keep}, nil
}

func (s *stream) close() {
	s.from.Close()
	s.write.Close()
}

// read reads until all writers are gone, or all that was written when the deadline passed.
func (s *stream) read() error {
	r := bufio.NewReaderSize(s, lineSize)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			s.log(strings.ToValidUTF8(string(bytes.TrimRight(line, "\r\n")), "\ufffd"))
		}
		switch {
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return fmt.Errorf("read its output: %w", err)
		}
	}
}

// Read reads from the process and keeps what is read.
func (s *stream) Read(b []byte) (int, error) {
	var n int
	var err error
	if s.rest == nil {
		if n, err = s.from.Read(b); errors.Is(err, os.ErrDeadlineExceeded) {
			s.rest = bytes.NewReader(held(s.from))
		}
	}
	if s.rest != nil {
		n, err = s.rest.Read(b)
	}
	if s.keep > 0 {
		k := min(n, s.keep-len(s.capture.Text))
		s.capture.Text = append(s.capture.Text, b[:k]...)
		s.capture.Lost += n - k
	}
	return n, err
}

// held is what is in a pipe, whose reader may have come to it late. It does not wait for more.
func held(pipe *os.File) []byte {
	var data []byte
	_ = pipe.SetReadDeadline(time.Time{}) // after which nothing is read, not even what is there
	raw, err := pipe.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Read(func(fd uintptr) bool {
		size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0)
		if err != nil {
			return true
		}
		buf := make([]byte, size)
		for len(data) < size {
			n, err := unix.Read(int(fd), buf[len(data):])
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n <= 0 { // there is no more, or no writer
				break
			}
			data = buf[:len(data)+n]
		}
		return true
	})
	return data
}

// A tail is the last lines of both streams.
type tail struct {
	mu   sync.Mutex
	last []string
}

func (t *tail) add(line string) {
	if len(line) > tailWidth {
		line = strings.ToValidUTF8(line[:tailWidth], "") + "…"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == tailLines {
		t.last = slices.Delete(t.last, 0, 1)
	}
	t.last = append(t.last, line)
}

func (t *tail) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.last)
}
