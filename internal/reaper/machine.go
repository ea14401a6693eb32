package reaper

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Record is what a reaper writes of itself into its lock file.
type Record struct {
	Process
	Ended bool `json:"ended,omitempty"` // its command has ended with status 0: it is not to be started again
}

// ErrHeld says that someone else holds a lock.
var ErrHeld = errors.New("the lock is held")

// Lock opens the file, making it when missing, and takes its lock or returns ErrHeld. The lock is held until every copy
// of the descriptor is closed, also those that child processes have inherited.
func Lock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lk); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, ErrHeld
		}
		return nil, err
	}
	return f, nil
}

// Held says whether anyone holds the lock of the file. It never takes it.
func Held(name string) bool {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk) == nil && lk.Type != unix.F_UNLCK
}

// ReadRecord reads the record of the reaper that holds, or held, the lock file.
func ReadRecord(name string) (Record, error) {
	var r Record
	data, err := os.ReadFile(name)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read the reaper's record in %s: %w", name, err)
	}
	return r, nil
}

// LockFile is the name of the lock file in a machine's directory.
const LockFile = "reaper.lock"

// Main is a whole reaper process: args are its command line, "--dir=D [--lock-fd=N] -- command...". With --lock-fd it
// has inherited the lock. It returns when ctx or the command has ended and nothing is left.
func Main(ctx context.Context, args []string, env func() []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("supervise", flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("dir", "", "the machine's directory, for the lock and as working directory")
	fd := fs.Int("lock-fd", -1, "the descriptor of the lock, when it is inherited")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *dir == "" || fs.NArg() == 0 {
		return errors.New("supervise: want --dir=DIRECTORY -- COMMAND...")
	}
	lock, err := inherit(*fd)
	if lock == nil && err == nil {
		lock, err = Lock(filepath.Join(*dir, LockFile))
	}
	if err != nil {
		return fmt.Errorf("supervise %s: %w", *dir, err)
	}
	defer lock.Close()
	self, err := Self()
	if err != nil {
		return err
	}
	if err := write(lock, Record{Process: self}); err != nil {
		return fmt.Errorf("supervise %s: %w", *dir, err)
	}
	if err := Run(ctx, Config{Command: fs.Args(), Dir: *dir, Env: env, Log: slog.New(slog.NewTextHandler(stderr, nil))}); err != nil {
		return fmt.Errorf("supervise %s: %w", *dir, err)
	}
	return write(lock, Record{Process: self, Ended: ctx.Err() == nil})
}

// inherit takes the lock's descriptor. It and all that came with it stay with this process alone.
func inherit(fd int) (*os.File, error) {
	if fd < 0 {
		return nil, nil
	}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		var other int
		if _, err := fmt.Sscan(n.Name(), &other); err == nil && other > 2 {
			unix.CloseOnExec(other)
		}
	}
	return os.NewFile(uintptr(fd), "lock"), nil
}

func write(f *os.File, r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return err
}
