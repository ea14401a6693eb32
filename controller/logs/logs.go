// Package logs keeps the logs of models on the controller's disk, each in a few files of bounded size,
// and finds in them what users ask for.
package logs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
)

// The limits of a model's log where Config gives none. A longer message is cut.
const (
	defaultFileSize = state.DefaultLogSize / defaultFiles
	defaultFiles    = 8
	maxMessage      = 16 << 10
)

// A Config says where the logs lie and how much of them is kept.
type Config struct {
	Dir      string
	FileSize int64 // bytes in one file; zero: 4 MiB
	Files    int   // files of a model; zero: 8
}

// A Store keeps logs. It is safe for several goroutines, but for one process only.
type Store struct {
	config Config
	mu     sync.Mutex // guards what is below
	limit  int64      // bytes in one file
	models map[state.ModelID]*log
}

// Open returns the store in the directory of c, which is made when it is first needed.
func Open(c Config) *Store {
	if c.FileSize == 0 {
		c.FileSize = defaultFileSize
	}
	if c.Files == 0 {
		c.Files = defaultFiles
	}
	return &Store{config: c, limit: c.FileSize, models: map[state.ModelID]*log{}}
}

// Limit is how many bytes of each model's log are kept from now on. What is more goes when the model's next lines come.
func (s *Store) Limit(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = max(1, size/int64(s.config.Files))
}

// Close closes the files. The store opens them again when it must.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.models {
		errs = append(errs, l.close())
	}
	s.models = map[state.ModelID]*log{}
	return errors.Join(errs...)
}

// Append adds lines to the model's log.
func (s *Store) Append(m state.ModelID, lines []agentapi.LogLine) error {
	l, limit, err := s.log(m)
	if err != nil {
		return err
	}
	var data []byte
	for _, line := range lines {
		line.Model = m
		if len(line.Message) > maxMessage {
			line.Message = strings.ToValidUTF8(line.Message[:maxMessage], "") + "..."
		}
		text, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("log of model %s: %w", m, err)
		}
		data = append(append(data, text...), '\n')
	}
	if err := l.write(data, Config{FileSize: limit, Files: s.config.Files}); err != nil {
		return fmt.Errorf("log of model %s: %w", m, err)
	}
	return nil
}

// Models is the models that have a log.
func (s *Store) Models() ([]state.ModelID, error) {
	entries, err := os.ReadDir(s.config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []state.ModelID
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, state.ModelID(e.Name()))
		}
	}
	return out, err
}

// Remove removes the model's log.
func (s *Store) Remove(m state.ModelID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.models[m]; l != nil {
		if err := l.close(); err != nil {
			return err
		}
		delete(s.models, m)
	}
	if !valid(m) {
		return fmt.Errorf("%q is not a model", m)
	}
	return os.RemoveAll(filepath.Join(s.config.Dir, string(m)))
}

func valid(m state.ModelID) bool {
	return m != "" && m[0] != '.' && !strings.ContainsAny(string(m), "/\x00")
}

// log is the model's log, and how many bytes one of its files may have now.
func (s *Store) log(m state.ModelID) (*log, int64, error) {
	if !valid(m) {
		return nil, 0, fmt.Errorf("%q is not a model", m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.models[m]
	if l == nil {
		l = &log{dir: filepath.Join(s.config.Dir, string(m)), changed: make(chan struct{})}
		s.models[m] = l
	}
	return l, s.limit, nil
}

// A log is the log of one model. Its files are named by numbers that grow: 7.log.
type log struct {
	dir     string
	mu      sync.Mutex // guards what is below
	file    *os.File   // the last one; nil until something is written
	number  int
	size    int64
	changed chan struct{} // closed, and made anew, when something was written
}

func (l *log) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

func (l *log) write(data []byte, c Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size > 0 && l.size+int64(len(data)) > c.FileSize {
		if err := l.rotate(c, int64(len(data))); err != nil {
			return err
		}
	}
	n, err := l.file.Write(data)
	l.size += int64(n)
	close(l.changed)
	l.changed = make(chan struct{})
	return err
}

// open opens the last file. A line that a crash has cut off is ended.
func (l *log) open() error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	numbers, err := l.numbers()
	if err != nil {
		return err
	}
	l.number = 1
	if len(numbers) > 0 {
		l.number = numbers[len(numbers)-1]
	}
	return l.openFile()
}

func (l *log) openFile() error {
	f, err := os.OpenFile(l.path(l.number), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	last := make([]byte, 1)
	if l.size > 0 {
		if _, err := f.ReadAt(last, l.size-1); err == nil && last[0] != '\n' {
			n, err := f.Write([]byte("\n"))
			l.size += int64(n)
			return err
		}
	}
	return nil
}

// rotate begins a new file, for this many bytes or more. The oldest go until those that are left are few and small enough.
func (l *log) rotate(c Config, next int64) error {
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return err
	}
	l.number++
	if err := l.openFile(); err != nil {
		return err
	}
	numbers, err := l.numbers()
	if err != nil {
		return err
	}
	total := max(next, c.FileSize) // of the new one
	for i, n := range slices.Backward(numbers[:max(0, len(numbers)-1)]) {
		info, err := os.Stat(l.path(n))
		if err != nil {
			return err
		}
		if total += info.Size(); len(numbers)-i > c.Files || total > c.FileSize*int64(c.Files) {
			return l.drop(numbers[:i+1])
		}
	}
	return nil
}

func (l *log) drop(numbers []int) error {
	for _, n := range numbers {
		if err := os.Remove(l.path(n)); err != nil {
			return err
		}
	}
	return nil
}

func (l *log) path(number int) string { return filepath.Join(l.dir, strconv.Itoa(number)+".log") }

// numbers is the files there are, the oldest first.
func (l *log) numbers() ([]int, error) {
	entries, err := os.ReadDir(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []int
	for _, e := range entries {
		if text, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			if n, err := strconv.Atoi(text); err == nil {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out, err
}

// news is closed when something will have been written after now.
func (l *log) news() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// scan calls line for each whole line of the file from offset on, and returns where it stopped. A file that is gone has no lines.
func (l *log) scan(number int, offset int64, line func(agentapi.LogLine) error) (int64, error) {
	f, err := os.Open(l.path(number))
	if errors.Is(err, fs.ErrNotExist) {
		return offset, nil
	}
	if err != nil {
		return offset, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, 0); err != nil {
		return offset, err
	}
	for r := bufio.NewReaderSize(f, 64<<10); ; {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return offset, nil // a line that is being written comes the next time
		}
		offset += int64(len(text))
		var parsed agentapi.LogLine
		if json.Unmarshal(text, &parsed) != nil {
			continue // cut off by a crash
		}
		if err := line(parsed); err != nil {
			return offset, err
		}
	}
}
