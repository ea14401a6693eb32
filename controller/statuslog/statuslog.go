// Package statuslog keeps what the statuses of units, machines and applications have been, on the controller's disk: one file for each of them, of
// bounded size, so that what changes often pushes out nothing but its own past.
package statuslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
)

// The limits where Config gives none, and of one status: a longer message is cut.
const (
	defaultFileSize = 64 << 10
	defaultAge      = 14 * 24 * time.Hour
	defaultGone     = 256 << 20
	maxMessage      = 2 << 10
	maxData         = 2 << 10
)

// A Config says where the statuses lie and how much of them is kept.
type Config struct {
	Dir      string
	FileSize int           // bytes of one thing; zero: 64 KiB
	Age      time.Duration // how long those of what is gone are kept; zero: 14 days
	Gone     int64         // bytes of a model's things that are gone; zero: 256 MiB
}

// A Store keeps statuses. It is safe for several goroutines, but for one process only.
type Store struct {
	config Config
	mu     sync.Mutex // is held by whoever writes files
}

// Open returns the store in the directory of c, which is made when it is first needed.
func Open(c Config) *Store {
	if c.FileSize == 0 {
		c.FileSize = defaultFileSize
	}
	if c.Age == 0 {
		c.Age = defaultAge
	}
	if c.Gone == 0 {
		c.Gone = defaultGone
	}
	return &Store{config: c}
}

// An Entry is a status that is kept.
type Entry struct {
	By string `json:"by,omitempty"` // the machine whose agent has told it, by its tag; empty: a controller
	state.StatusRecord
}

// Add keeps what by tells, but for what says the same as the status of its type before, and what is there already: to tell a thing again changes
// nothing.
func (s *Store) Add(m state.ModelID, by string, told ...agentapi.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var order []string
	entities := map[string][]agentapi.Status{}
	for _, t := range told {
		if len(entities[t.Entity]) == 0 {
			order = append(order, t.Entity)
		}
		entities[t.Entity] = append(entities[t.Entity], t)
	}
	var errs []error
	for _, e := range order {
		if err := s.add(m, e, by, entities[e]); err != nil {
			errs = append(errs, fmt.Errorf("keep the statuses of %s of model %s: %w", e, m, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) add(m state.ModelID, entity, by string, told []agentapi.Status) error {
	path, err := s.path(m, entity)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	had := len(data)
	if had > 0 && data[had-1] != '\n' { // cut off by a crash
		data = append(data, '\n')
	}
	for _, t := range told {
		line, err := fresh(data, t, by)
		if err != nil {
			return err
		}
		data = append(data, line...)
	}
	switch {
	case len(data) == had:
		return nil
	case len(data) > s.config.FileSize:
		return replace(path, trim(data, s.config.FileSize/2))
	}
	return appendTo(path, data[had:])
}

// fresh is the line of t; nothing when data, the lines before it, have it already.
func fresh(data []byte, t agentapi.Status, by string) ([]byte, error) {
	t.StatusInfo = bounded(t.StatusInfo)
	if last, one := latest(data, t.Type); one && last.Same(t.StatusInfo) {
		return nil, nil
	}
	there := func() (bool, error) {
		t.Since = t.Since.UTC()
		text, err := json.Marshal(t.StatusRecord)
		return err == nil && bytes.Contains(data, append(text[1:], '\n')), err // whoever has told it
	}
	found, err := there()
	if found && !t.Again.IsZero() {
		t.Since = t.Again
		found, err = there()
	}
	if found || err != nil {
		return nil, err
	}
	line, err := json.Marshal(Entry{by, t.StatusRecord})
	return append(line, '\n'), err
}

// bounded is s with no more than is kept of one.
func bounded(s state.StatusInfo) state.StatusInfo {
	cut := func(text string, most int) string {
		if len(text) <= most {
			return text
		}
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	s.Status, s.Message = cut(s.Status, 64), cut(s.Message, maxMessage)
	size := 0
	for k, v := range s.Data {
		size += len(k) + len(v)
	}
	if size > maxData {
		s.Data = nil
	}
	return s
}

// latest is the last status of the type.
func latest(data []byte, of state.StatusType) (Entry, bool) {
	for len(data) > 0 {
		begin := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
		var e Entry
		if json.Unmarshal(data[begin:], &e) == nil && e.Type == of {
			return e, true
		}
		data = data[:begin]
	}
	return Entry{}, false
}

// trim keeps the newest of the lines: of each type as much as of the others, and of all together not more than size. What is told again after it
// was trimmed is trimmed again.
func trim(data []byte, size int) []byte {
	type entry struct {
		Entry
		line []byte
	}
	var all []entry
	left := map[state.StatusType]int{}
	for line := range bytes.Lines(data) {
		e := entry{line: line}
		if json.Unmarshal(line, &e.Entry) == nil {
			all = append(all, e)
			left[e.Type] = 0
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.Since.Compare(b.Since) })
	for t := range left {
		left[t] = size / len(left)
	}
	kept := make([][]byte, 0, len(all))
	for _, e := range slices.Backward(all) {
		if left[e.Type] -= len(e.line); left[e.Type] >= 0 {
			kept = append(kept, e.line)
		}
	}
	slices.Reverse(kept)
	return bytes.Join(kept, nil)
}

func appendTo(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// replace puts data in the place of the file, whole or not at all.
func replace(path string, data []byte) error {
	aside := path + ".new"
	err := os.WriteFile(aside, data, 0o600)
	if err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return nil
}

const suffix = ".statuses"

func (s *Store) path(m state.ModelID, entity string) (string, error) {
	dir, err := s.dir(m)
	if err != nil || entity == "" || entity[0] == '.' || len(entity) > 200 || strings.ContainsAny(entity, "/\x00") {
		return "", errors.Join(err, fmt.Errorf("%q has no statuses", entity))
	}
	return filepath.Join(dir, entity+suffix), nil
}

func (s *Store) dir(m state.ModelID) (string, error) {
	if m == "" || m[0] == '.' || strings.ContainsAny(string(m), "/\x00") {
		return "", fmt.Errorf("%q is not a model", m)
	}
	return filepath.Join(s.config.Dir, string(m)), nil
}

// Read is what is kept of the entity, in the order in which it was told.
func (s *Store) Read(m state.ModelID, entity string) ([]Entry, error) {
	path, err := s.path(m, entity)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the statuses of %s of model %s: %w", entity, m, err)
	}
	var out []Entry
	for line := range bytes.Lines(data) {
		var e Entry
		if json.Unmarshal(line, &e) == nil && e.Type != "" { // otherwise cut off by a crash
			out = append(out, e)
		}
	}
	return out, nil
}
