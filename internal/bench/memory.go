package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/controller/status"
)

// atRest measures the memory of the processes of an environment whose units have nothing to do: with one unit on the
// machine, and with twenty.
func atRest(ctx context.Context, p place, r *report) (err error) {
	dir := filepath.Join(p.dir, "charm")
	if err := writeCharm(dir, noopCharm()); err != nil {
		return err
	}
	e := environment{p.bin, filepath.Join(p.dir, "data")}
	defer func() { err = errors.Join(err, e.kill(ctx)) }()
	if err := e.bootstrap(ctx); err != nil {
		return err
	}
	if _, err := e.grigri(ctx, "add-model", "memory"); err != nil {
		return err
	}
	const many = 20
	first, err := e.measure(ctx, p, 1, "deploy", dir, "noop")
	if err != nil {
		return err
	}
	all, err := e.measure(ctx, p, many, "add-unit", "noop", "-n", strconv.Itoa(many-1), "--to", strings.Join(slices.Repeat([]string{"0"}, many-1), ","))
	if err != nil {
		return err
	}
	r.process("a machine's agent with 1 unit", first["grigri-agent run"])
	r.process(fmt.Sprintf("a machine's agent with %d units", many), all["grigri-agent run"])
	r.derived("for each further unit", (all["grigri-agent run"].pss-first["grigri-agent run"].pss)/(many-1))
	r.process("what keeps a machine on this host", all["grigri-agent supervise"])
	r.process("the controller", all["grigrid run"])
	r.process("ZooKeeper", all["java"])
	return nil
}

// measure makes a change, waits until there are so many units and none has anything to do, and returns what the processes
// of the environment take then.
func (e environment) measure(ctx context.Context, p place, units int, change ...string) (map[string]memory, error) {
	if _, err := e.grigri(ctx, change...); err != nil {
		return nil, err
	}
	for end := time.Now().Add(3 * time.Minute); ; {
		idle, err := e.idle(ctx)
		if err != nil {
			return nil, err
		}
		if idle == units {
			break
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("only %d of %d units have come to rest", idle, units)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
	calm := 20 * time.Second // in which processes give back what they do not need any more
	if p.quick {
		calm = time.Second
	}
	if err := sleep(ctx, calm); err != nil {
		return nil, err
	}
	return e.memory()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idle is how many units have nothing to do.
func (e environment) idle(ctx context.Context) (n int, err error) {
	out, err := e.grigri(ctx, "status", "--format", "json")
	if err != nil {
		return 0, err
	}
	var st status.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		return 0, fmt.Errorf("read the status: %w", err)
	}
	for _, u := range st.Applications["noop"].Units {
		if u.Agent.Current == "idle" {
			n++
		}
	}
	return n, nil
}

// memory is what the environment's processes take, by program and command.
func (e environment) memory() (map[string]memory, error) {
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	out := map[string]memory{}
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(line), e.data+"/") {
			continue // it has ended, or is another's
		}
		args := strings.Split(string(line), "\x00")
		key := filepath.Base(args[0])
		if strings.HasPrefix(key, "grigri") {
			key += " " + args[1]
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, err
		}
		if out[key], err = memoryOf(pid); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A memory is what a process takes, in KiB: pss counts a page that n processes share as a part of n, rss whole.
type memory struct{ pss, rss int }

// memoryOf asks the kernel.
func memoryOf(pid int) (memory, error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	var m memory
	for line := range strings.Lines(string(data)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
			m.pss = kib
		} else if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kib); n == 1 {
			m.rss = kib
		}
	}
	return m, nil
}
