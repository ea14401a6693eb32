package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The directory of a process that has been killed is free as soon as the kernel has closed its files; that of one that lives is not.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	held, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600) // stands for the file of the other process
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	name := func(pid int) {
		if err := os.WriteFile(held.Name(), []byte(strconv.Itoa(pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	alive := os.Getppid()
	name(alive)
	if _, err := lock(dir); err == nil || !strings.Contains(err.Error(), "another grigrid, process "+strconv.Itoa(alive)) {
		t.Errorf("a process that lives has it: %v", err)
	}

	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	name(dead.Process.Pid)
	time.AfterFunc(100*time.Millisecond, func() { held.Close() })
	f, err := lock(dir)
	if err != nil {
		t.Fatalf("the files of a killed process are closed a little later: %v", err)
	}
	f.Close()
}
