package reaper

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Process names one process for as long as the host is up, and after: a reused id is not the same process.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot
	Boot  string `json:"boot"`  // the host's boot id
}

// Self is the calling process.
func Self() (Process, error) { return Find(os.Getpid()) }

// Find is the process that has the id now.
func Find(pid int) (Process, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Process{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	_, start, err := stat(pid)
	if err != nil {
		return Process{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return Process{PID: pid, Start: start, Boot: string(bytes.TrimSpace(boot))}, nil
}

// Alive says whether the very process still runs. A zombie does not.
func (p Process) Alive() bool {
	now, err := Find(p.PID)
	return err == nil && now == p
}

// Signal sends the signal to the very process, never to another one that has come to its id.
// It is no error when the process has ended.
func (p Process) Signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		if err == unix.ESRCH {
			return nil
		}
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.Alive() { // the descriptor holds whoever has the id; now we know who
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// stat is the parent and the start time of a process that is no zombie.
func stat(pid int) (parent int, start uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := cutLast(data, ") ") // the name may hold anything
	f := bytes.Fields(rest)
	if !ok || len(f) < 20 {
		return 0, 0, fmt.Errorf("read the status of process %d: unexpected format", pid)
	}
	if s := f[0][0]; s == 'Z' || s == 'X' {
		return 0, 0, unix.ESRCH
	}
	if parent, err = strconv.Atoi(string(f[1])); err != nil {
		return 0, 0, err
	}
	start, err = strconv.ParseUint(string(f[19]), 10, 64)
	return parent, start, err
}

func cutLast(b []byte, sep string) (before, after []byte, ok bool) {
	i := bytes.LastIndex(b, []byte(sep))
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+len(sep):], true
}

// Processes is the ids of all processes that can be seen.
func Processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var out []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// signalChildren signals every child of the calling process.
func signalChildren(sig unix.Signal) {
	self := os.Getpid()
	for _, pid := range Processes() {
		if parent, _, err := stat(pid); err == nil && parent == self {
			unix.Kill(pid, sig)
		}
	}
}
