package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/reaper"
)

// run makes the machine run, if it does not. The caller holds the provider's lock.
// The reaper inherits the lock of the machine and the lock of its address, so both live exactly as long as it.
func (p *Provider) run(m *machine) error {
	p.reapMine()
	lock, err := reaper.Lock(p.dir(m.ID, lockFile))
	if err == reaper.ErrHeld {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock its directory: %w", err)
	}
	defer lock.Close()
	address, err := p.address(m)
	if err != nil {
		return err
	}
	defer address.Close()
	if err := p.write(*m); err != nil {
		return err
	}
	console, err := openLog(p.dir(m.ID, logFile))
	if err != nil {
		return err
	}
	defer console.Close()
	args := slices.Concat(p.Reaper[1:], []string{"--lock-fd=3", "--dir=" + p.dir(m.ID), "--", "/bin/sh", p.dir(m.ID, scriptFile)})
	cmd := exec.Command(p.Reaper[0], args...)
	cmd.Dir, cmd.Env = p.dir(m.ID), p.environ(*m)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{lock, address}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start its reaper: %w", err)
	}
	p.mu.Lock()
	p.mine = append(p.mine, cmd)
	p.mu.Unlock()
	return nil
}

func openLog(name string) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if fi, err := os.Stat(name); err == nil && fi.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(name, flags, 0o600)
}

// reapMine takes in the reapers of ours that have ended, so that they do not stay as zombies.
func (p *Provider) reapMine() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mine = slices.DeleteFunc(p.mine, func(c *exec.Cmd) bool {
		var st unix.WaitStatus
		pid, err := unix.Wait4(c.Process.Pid, &st, unix.WNOHANG, nil)
		return pid != 0 || errors.Is(err, unix.ECHILD)
	})
}

// address gives the machine a loopback address that no other machine of this host has, also none of another
// directory or controller: a name in the abstract socket namespace is bound for each. The caller holds the
// provider's lock and keeps the file open, or hands it on, for as long as the address is in use.
func (p *Provider) address(m *machine) (*os.File, error) {
	used := map[string]bool{}
	names, err := os.ReadDir(p.Dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if n.Name() != m.ID && n.IsDir() && validID(n.Name()) {
			if other, err := p.read(n.Name()); err == nil {
				used[other.Address] = true
			}
		}
	}
	if m.Address != "" {
		if f, err := bindName(m.Address); err == nil {
			return f, nil
		}
	}
	h := fnv.New32a()
	h.Write([]byte(p.dir(m.ID)))
	const size = 1 << 22 // 127.64.0.0/10
	for i := range uint32(size) {
		n := (h.Sum32() + i) % size
		if last := n & 0xff; last == 0 || last == 0xff {
			continue
		}
		b := binary.BigEndian.AppendUint32(nil, 127<<24|64<<16|n)
		a := fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3])
		if used[a] {
			continue
		}
		if f, err := bindName(a); err == nil {
			m.Address = a
			return f, nil
		}
	}
	return nil, errors.New("no loopback address is free")
}

func bindName(address string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@grigri-local-" + address}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), address), nil
}

// end ends everything of a machine that is marked as stopping, and removes its directory. It kills the reaper only when
// the lock, the record and the kernel agree that it is the one, and other processes only when their environment names the machine.
func (p *Provider) end(ctx context.Context, id string) error {
	giveUp := time.Now().Add(2*p.Grace + 5*time.Second)
	asked := false
	for p.held(id) {
		r := p.record(id)
		switch {
		case !r.Process.Alive(): // it is just starting, or just ending
		case time.Now().After(giveUp):
			if err := r.Process.Signal(unix.SIGKILL); err != nil {
				return err
			}
		case !asked:
			if err := r.Process.Signal(unix.SIGTERM); err != nil {
				return err
			}
			asked = true
		}
		if time.Now().After(giveUp.Add(5 * time.Second)) {
			return fmt.Errorf("its reaper does not end: look at process %d", r.Process.PID)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := p.killStrays(ctx, id); err != nil {
		return err
	}
	p.reapMine()
	return p.remove(id)
}

func (p *Provider) remove(id string) error {
	gone := filepath.Join(p.Dir, trash+id)
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	if err := os.Rename(p.dir(id), gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(gone)
}

// killStrays kills what a reaper that was itself killed has left.
func (p *Provider) killStrays(ctx context.Context, id string) error {
	for giveUp := time.Now().Add(5 * time.Second); ; {
		var left []int
		for _, pid := range reaper.Processes() {
			if pid == os.Getpid() || !p.owns(id, pid) {
				continue
			}
			proc, err := reaper.Find(pid)
			if err != nil || !p.owns(id, pid) { // asked again: now of the very process that is killed
				continue
			}
			left = append(left, pid)
			if err := proc.Signal(unix.SIGKILL); err != nil {
				return err
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(giveUp) {
			return fmt.Errorf("processes %v do not end", left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *Provider) owns(id string, pid int) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		s := string(kv)
		if s == marker+p.dir(id) || strings.HasPrefix(s, charmMarker+p.dir(id)+"/") {
			return true
		}
	}
	return false
}
