package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/programs"
	"github.com/grigri/grigri/internal/userapi"
)

// An upgraded is a controller that nobody but itself starts again.
type upgraded struct {
	host
	b    controller.Bootstrapped
	c    *client.Client
	made int
}

// other is the archive of other programs, whose grigrid runs this text of sh before it is what it is.
func (u *upgraded) other(before string) (hash string, data []byte) {
	u.t.Helper()
	u.made++
	dir := u.t.TempDir()
	real := filepath.Join(dir, "real")
	files := map[string]string{}
	program, err := os.ReadFile(u.program)
	if err == nil {
		err = os.WriteFile(real, append(program, fmt.Sprintln(u.made)...), 0o755)
	}
	if err != nil {
		u.t.Fatal(err)
	}
	if before == "" {
		files["grigrid"] = real
	}
	for name, text := range map[string]string{"grigrid": before + "\nexec " + real + ` "$@"`, "grigri-agent": "", "hooktool": ""} {
		if files[name] != "" {
			continue
		}
		files[name] = filepath.Join(dir, name)
		if err := os.WriteFile(files[name], []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			u.t.Fatal(err)
		}
	}
	if data, hash, err = programs.Pack(files); err != nil {
		u.t.Fatal(err)
	}
	return hash, data
}

// ask has the controller go on as others.
func (u *upgraded) ask(hash string, data []byte) {
	u.t.Helper()
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	_, err := u.c.UploadPrograms(u.t.Context(), hash, int64(len(data)), open)
	if err == nil {
		_, err = u.c.UpgradeController(u.t.Context(), userapi.UpgradeController{Programs: hash})
	}
	if err != nil {
		u.t.Fatal(err)
	}
}

// refused waits until the controller answers, and says that the programs were not put in place, and why.
func (u *upgraded) refused(what, hash, why string) {
	u.t.Helper()
	before := programs.Controller(u.dir).Current()
	u.answers(what, func(now userapi.Controller) bool {
		return now.Upgrade != nil && now.Upgrade.To == hash && strings.Contains(now.Upgrade.Failed, why)
	})
	if now := programs.Controller(u.dir).Current(); now == hash || before != "" && before != hash && now != before {
		u.t.Errorf("%s: %.12s is in place, and %.12s was", what, now, before)
	}
}

func (u *upgraded) answers(what string, ok func(userapi.Controller) bool) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 4*time.Minute)
	defer cancel()
	for {
		now, err := u.c.Controller(ctx)
		if err == nil && ok(now) {
			return
		}
		select {
		case <-ctx.Done():
			note, _ := os.ReadFile(filepath.Join(u.dir, "programs", "upgrade.json"))
			u.t.Fatalf("%s: it is not so: %+v, %v\n%s", what, now.Upgrade, err, note)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pid is the process that has the directory.
func (u *upgraded) pid() int {
	u.t.Helper()
	pid, err := holder(u.dir)
	if err != nil {
		u.t.Fatal(err)
	}
	return pid
}

func (u *upgraded) kill(what string) {
	u.t.Helper()
	if err := syscall.Kill(u.pid(), syscall.SIGKILL); err != nil {
		u.t.Fatalf("%s: %v", what, err)
	}
}

// begin starts the daemon as bootstrap does: nobody waits for it.
func (u *upgraded) begin(flags ...string) {
	u.t.Helper()
	log, err := os.OpenFile(filepath.Join(u.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		u.t.Fatal(err)
	}
	defer log.Close()
	cmd := u.command(append([]string{"run", "--data-dir", u.dir}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // or it would stay as a zombie
}

// Whatever is wrong with the programs that a controller is to go on as, and whenever it is killed: in the end it answers, as what it was or as
// what it was to be, and says so. Nobody starts it but those that it has left behind, until the last part.
func TestUpgradesThatGoWrong(t *testing.T) {
	t.Parallel()
	u := &upgraded{host: newHost(t)}
	u.b = u.bootstrap()
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(u.dir, "log"))
			t.Logf("it said\n%s", log[max(0, len(log)-6000):])
		}
		u.do("destroy", "--data-dir", u.dir)
	})
	u.begin("--try-timeout", "6s", "--come-timeout", "5s", "--leave-timeout", "1s")
	u.c = dial(t, u.b)
	u.answers("it is new", func(userapi.Controller) bool { return true })

	for _, bad := range []struct{ what, before, why string }{
		{"one that ends when it is tried", `[ "$1" != try ] || { echo no such luck; exit 3; }`, "exit status 3; it said last:\nno such luck"},
		{"one that cannot read the tree", `[ "$1" != try ] || set -- try --data-dir "$3" --zookeeper 127.0.0.1:1`, "it does not come up"},
		{"one that hangs when it is tried", `[ "$1" != try ] || exec sleep 1000`, "it has not come up in 6s"},
		{"one that ends in its place", `[ "$1" != run ] || exit 3`, "was started 3 times and has never come up"},
		{"one that hangs in its place", `[ "$1" != run ] || exec sleep 1000`, "it hung and has not come up in 6s"},
	} {
		hash, data := u.other(bad.before)
		u.ask(hash, data)
		u.refused(bad.what, hash, bad.why)
	}

	u.kill("as it is")
	u.begin() // with the limits that it has by itself
	u.answers("started again", func(userapi.Controller) bool { return true })

	// Killed when the others are in place and have not come up: it is started again, and comes up.
	file := filepath.Join(u.dir, "began")
	hash, data := u.other(`[ "$1" != run ] || [ -e ` + file + ` ] || { echo $$ >` + file + `; exec sleep 1000; }`)
	u.ask(hash, data)
	await(t, "it began", func() bool { text, err := os.ReadFile(file); return err == nil && len(text) > 0 })
	text, err := os.ReadFile(file)
	if err == nil {
		err = exec.Command("kill", "-9", strings.TrimSpace(string(text))).Run()
	}
	if err != nil {
		t.Fatal(err)
	}
	u.answers("killed before it came up", func(now userapi.Controller) bool { return now.Upgrade == nil })
	if now := programs.Controller(u.dir).Current(); now != hash {
		t.Errorf("killed before it came up: %.12s is in place", now)
	}

	// Killed while it tries, and while it is sent programs: whoever starts it starts what it was.
	next, data := u.other(`[ "$1" != try ] || { echo >` + file + `; exec sleep 1000; }`)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	u.ask(next, data)
	await(t, "it is tried", func() bool { _, err := os.Stat(file); return err == nil })
	u.kill("while it tries")
	u.begin()
	u.answers("killed while it tried", func(now userapi.Controller) bool { return now.Upgrade == nil })
	next, data = u.other("")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent, slow := make(chan struct{}), &slowly{data: data, gone: make(chan struct{})}
	go func() {
		defer close(sent)
		_, _ = u.c.UploadPrograms(ctx, next, int64(len(data)), func() (io.ReadCloser, error) { return slow, nil })
	}()
	await(t, "an upload has begun", func() bool {
		left, _ := filepath.Glob(filepath.Join(u.dir, "programs", ".new-*"))
		return len(left) > 0
	})
	u.kill("while it is sent programs")
	cancel()
	close(slow.gone)
	<-sent
	u.begin()
	u.answers("killed while it was sent programs", func(now userapi.Controller) bool { return now.Upgrade == nil })
	if now := programs.Controller(u.dir).Current(); now != hash {
		t.Errorf("killed before: %.12s is in place", now)
	}

	// And what is right is put in place.
	u.ask(next, data)
	var own userapi.Build
	out, err := u.command("version").Output()
	if err == nil {
		err = json.Unmarshal(out, &own)
	}
	if err != nil {
		t.Fatal(err)
	}
	u.answers("upgraded", func(now userapi.Controller) bool { return now.Upgrade == nil && now.Build != own.Program })
	if now := programs.Controller(u.dir).Current(); now != next {
		t.Errorf("%.12s is in place", now)
	}
}

// slowly gives half of the data, and the rest never.
type slowly struct {
	data []byte
	at   int
	gone chan struct{}
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.at < len(s.data)/2 {
		n := copy(p, s.data[s.at:len(s.data)/2])
		s.at += n
		return n, nil
	}
	<-s.gone
	return 0, io.ErrUnexpectedEOF
}

func (s *slowly) Close() error { return nil }
