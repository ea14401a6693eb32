// Package archive keeps archives on disk under the SHA-256 of their content. What is there is whole and unchanged:
// a file gets its name when all of it is on the disk.
package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// Errors that a Dir wraps.
var (
	ErrHash     = errors.New("not the SHA-256 of the content")
	ErrNotFound = errors.New("no such archive")
	ErrTooLarge = errors.New("archive too large")
	ErrFull     = errors.New("no space left on the controller's disk")
)

// A Dir is a directory of archives. It is safe for several goroutines and processes.
type Dir string

var hexHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// path is where the archive is; the hash may come from anywhere.
func (d Dir) path(hash string) (string, error) {
	if !hexHash.MatchString(hash) {
		return "", fmt.Errorf("%q is not a SHA-256 in hex: %w", hash, ErrNotFound)
	}
	return filepath.Join(string(d), hash), nil
}

// Open opens the archive for reading and says how long it is. It wraps ErrNotFound.
func (d Dir) Open(hash string) (*os.File, int64, error) {
	path, err := d.path(hash)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("archive %s: %w", hash, ErrNotFound)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Put keeps what r gives under hash, once check, which may be nil, has found no fault with it. It wraps ErrHash, ErrTooLarge or ErrFull,
// or the error of check; then it leaves nothing behind. An archive that is there already is left as it is, and checked.
func (d Dir) Put(hash string, r io.Reader, limit int64, check func(io.ReaderAt, int64) error) error {
	return d.put(hash, r, limit, 0o600, check)
}

// PutProgram is Put for a program, which can then be run from where it is: Program says where. Nobody but its owner can change it.
func (d Dir) PutProgram(hash string, r io.Reader, limit int64) error {
	return d.put(hash, r, limit, 0o700, nil)
}

// Program is the path of a program that was put. It wraps ErrNotFound.
func (d Dir) Program(hash string) (string, error) {
	path, err := d.path(hash)
	if err == nil {
		_, err = os.Stat(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("program %s: %w", hash, ErrNotFound)
	}
	return path, err
}

func (d Dir) put(hash string, r io.Reader, limit int64, mode fs.FileMode, check func(io.ReaderAt, int64) error) error {
	path, err := d.path(hash)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("keep archive %s: %w", hash, space(err))
	}
	f, err := os.CreateTemp(string(d), ".put-*")
	if err != nil {
		return fmt.Errorf("keep archive %s: %w", hash, space(err))
	}
	err = fill(f, hash, r, limit, check)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err2 := f.Close(); err == nil {
		err = space(err2)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep archive %s: %w", hash, err), os.Remove(f.Name()))
	}
	return nil
}

func fill(f *os.File, hash string, r io.Reader, limit int64, check func(io.ReaderAt, int64) error) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return space(err)
	case n > limit:
		return fmt.Errorf("more than %d bytes: %w", limit, ErrTooLarge)
	case hex.EncodeToString(h.Sum(nil)) != hash:
		return fmt.Errorf("what came has %s: %w", hex.EncodeToString(h.Sum(nil)), ErrHash)
	}
	if err := f.Sync(); err != nil {
		return space(err)
	}
	if check != nil {
		return check(f, n)
	}
	return nil
}

// space names a full disk for what it is.
func space(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// Trim removes archives that were put before a time and that keep does not want, and what a crash has left unfinished.
func (d Dir) Trim(before time.Time, keep func(hash string) bool) error {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err != nil {
			break
		}
		info, ierr := e.Info()
		if ierr != nil || !info.ModTime().Before(before) || hexHash.MatchString(e.Name()) && keep(e.Name()) {
			continue
		}
		err = os.Remove(filepath.Join(string(d), e.Name()))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove old archives: %w", err)
	}
	return nil
}
