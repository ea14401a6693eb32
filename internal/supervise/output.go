package supervise

import (
	"io"
	"os"
	"strings"
	"sync"
)

const tailSize = 8192

// A tail hands on what is written to it, and keeps the end.
type tail struct {
	next io.Writer // optional

	mu   sync.Mutex
	last []byte // at most tailSize
}

// Write never fails: a process must not end because its output has nowhere to go.
func (t *tail) Write(p []byte) (int, error) {
	if t.next != nil {
		_, _ = t.next.Write(p)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if n := len(t.last) - tailSize; n > 0 {
		t.last = append(t.last[:0:0], t.last[n:]...)
	}
	return len(p), nil
}

// String is the last whole lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := string(t.last)
	if len(s) == tailSize {
		_, s, _ = strings.Cut(s, "\n") // most likely the end of a line
	}
	return strings.TrimSpace(s)
}

// A LogFile is a file that holds at most Max bytes and whose predecessor is kept beside it as Path.1.
// It is safe for several goroutines.
type LogFile struct {
	Path string
	Max  int64

	mu   sync.Mutex
	file *os.File
	size int64
}

// Write opens the file at first, and again after an error.
func (l *LogFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.size+int64(len(p)) > l.Max {
		l.close()
		if err := os.Rename(l.Path, l.Path+".1"); err != nil {
			return 0, err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	if err != nil {
		l.close()
	}
	return n, err
}

// Close closes the file. The next Write opens it again.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
	return nil
}

func (l *LogFile) open() error {
	f, err := os.OpenFile(l.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

func (l *LogFile) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file, l.size = nil, 0
	}
}
