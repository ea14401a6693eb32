package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
)

// The tasks of a machine are commands that run outside of any unit. Each has a goroutine of its own, from when it is first seen to
// its end; as for units, the result's node is made before it runs, and by whoever makes it, it is decided whether it does.

func (m *machine) receiver() state.Receiver { return state.Receiver(m.id) }

// runTasks begins the tasks that are new.
func (m *machine) runTasks(ctx context.Context) error {
	names, err := state.ChildrenIf(ctx, m.Store, m.model.TasksPath(m.receiver()))
	if err != nil {
		return fmt.Errorf("list the tasks of machine %s: %w", m.id, err)
	}
	seen := map[state.TaskID]bool{}
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		id := state.TaskID(n)
		seen[id] = true
		if !m.tasks[id] {
			m.group.Go(func() error { m.keepTask(ctx, id); return nil })
		}
	}
	m.tasks = seen
	return nil
}

// keepTask tries until the task has ended or ctx does.
func (m *machine) keepTask(ctx context.Context, id state.TaskID) {
	t := task{machine: m, id: id}
	for delay := minRetry; ; delay = min(2*delay, maxRetry) {
		err := t.step(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		m.log.Warn("a task of the machine is tried again", "task", id, "err", err, "delay", delay)
		sleep(ctx, delay)
	}
}

// A task is one task as this agent knows it.
type task struct {
	*machine
	id     state.TaskID
	began  bool              // by us
	result *state.TaskResult // when it has run
}

// step goes on with the task from where it is, to its end. After an error another step does.
func (t *task) step(ctx context.Context) error {
	want, err := state.ReadIf[state.Task](ctx, t.Store, t.model.TaskPath(t.receiver(), t.id))
	if err != nil {
		return fmt.Errorf("read task %d: %w", t.id, err)
	}
	have, err := state.ReadIf[state.TaskResult](ctx, t.Store, t.resultPath())
	if err != nil {
		return fmt.Errorf("read the result of task %d: %w", t.id, err)
	}
	if !want.Exists() || !have.Value.Completed.IsZero() { // it has been cancelled, or trimmed, or we have told it and not heard so
		return nil
	}
	if have.Exists() && !t.began { // by an agent before this one: nobody knows how it ended
		return t.tell(ctx, state.TaskResult{Status: state.TaskFailed, Message: "action terminated"})
	}
	if t.result == nil {
		if err := t.run(ctx, want.Value); err != nil || t.result == nil {
			return err
		}
	}
	return t.tell(ctx, *t.result)
}

func (t *task) resultPath() string { return t.model.TaskResultPath(t.receiver(), t.id) }

// run runs it, under the lock that it needs. There is no result when it has been cancelled meanwhile.
func (t *task) run(ctx context.Context, want state.Task) error {
	text, ok := want.Params["command"].(string)
	if !ok || want.Action != state.ExecAction {
		now := t.Now()
		t.result = &state.TaskResult{Status: state.TaskFailed, Message: fmt.Sprintf("cannot run %q on a machine: only commands", want.Action), Completed: now}
		return nil
	}
	if group, locked := want.Lock("", false); locked {
		release, _, err := t.lock.AcquireGroup(ctx, group, fmt.Sprintf("machine %s: task %d", t.machine.id, t.id), func(unit.Holder) {})
		if err != nil {
			return err
		}
		defer release()
	}
	if run, err := t.begin(ctx); err != nil || !run {
		return err
	}
	t.log.Info("commands run on the machine", "task", t.id)
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := t.whenCancelled(running, func() { end(run.ErrAborted) })
	c := t.command()
	c.Text = text
	res, err := run.Command(running, c)
	end(nil)
	stop()
	if err != nil {
		t.result = &state.TaskResult{Status: state.TaskFailed, Message: err.Error()}
		return nil
	}
	t.result = &state.TaskResult{Status: state.TaskCompleted, Results: res.Results()}
	switch {
	case res.Outcome == run.Aborted:
		t.result.Status, t.result.Message = state.TaskAborted, "cancelled while it was running"
	case res.Outcome == run.Terminated:
		t.result.Status, t.result.Message = state.TaskFailed, "action terminated"
	case res.Outcome == run.Failed && res.Code < 0:
		t.result.Status, t.result.Message = state.TaskFailed, res.Reason
	}
	return nil
}

// begin says in the tree that the task runs, before it does. It is not to run when it has been cancelled meanwhile.
func (t *task) begin(ctx context.Context) (run bool, err error) {
	if t.began {
		return true, nil
	}
	var txn state.Txn
	txn.Check(t.model.TaskPath(t.receiver(), t.id), state.Any)
	txn.Create(t.resultPath(), state.TaskResult{Status: state.TaskRunning, Started: t.Now()})
	_, err = t.Store.Commit(ctx, txn)
	if errors.Is(err, state.ErrConflict) {
		return false, nil
	}
	t.began = err == nil || errors.Is(err, state.ErrUnknown) // if it is there now, it is ours: no one else runs it
	if err != nil {
		return false, fmt.Errorf("begin task %d: %w", t.id, err)
	}
	return true, nil
}

// whenCancelled calls do when the task is cancelled. What it returns waits until it does so no more, which is after ctx has ended.
func (t *task) whenCancelled(ctx context.Context, do func()) (wait func()) {
	ended := make(chan struct{})
	watch := t.Store.Watch(ctx)
	path := t.model.TaskPath(t.receiver(), t.id)
	watch.Data(path)
	t.group.Go(func() error {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-watch.C():
			}
			watch.Take()
			if want, err := state.ReadIf[state.Task](ctx, t.Store, path); err == nil && want.Value.Cancel {
				do()
				return nil
			}
		}
	})
	return func() { <-ended }
}

// tell commits the result, in the place of what says that the task runs.
func (t *task) tell(ctx context.Context, r state.TaskResult) error {
	if r.Completed.IsZero() {
		r.Completed = t.Now()
	}
	err := state.Edit(ctx, t.Store, func(ctx context.Context, tree state.Reader) (txn state.Txn, err error) {
		rec, err := state.ReadIf[state.TaskResult](ctx, tree, t.resultPath())
		if err != nil || !rec.Value.Completed.IsZero() {
			return txn, err
		}
		there, err := state.Exists(ctx, tree, t.model.TaskPath(t.receiver(), t.id))
		if err != nil || !there {
			return txn, err
		}
		r.Started = rec.Value.Started
		state.Put(&txn, t.resultPath(), rec, r)
		return txn, nil
	})
	if err != nil {
		return fmt.Errorf("tell how task %d ended: %w", t.id, err)
	}
	return nil
}

// command is how commands run on this machine: as ubuntu, who may use sudo, where the machine is ours and has that user; otherwise
// as the agent does. On a machine that is a directory of its host they begin in that directory.
func (m *machine) command() run.MachineCommand {
	env := []string{"PATH=" + run.SearchPath, "LANG=C.UTF-8", "TERM=tmux-256color"}
	c := run.MachineCommand{Dir: "/", Log: func(module, level, line string) {
		m.Logs.Line(unit.Line{Time: m.Now(), Entity: m.id.Tag(), Level: level, Module: module, Message: line})
	}}
	if m.Address != "" {
		c.Dir = m.DataDir
		c.Env = append(env, "HOME="+m.DataDir)
		if marker := os.Getenv("GRIGRI_MACHINE_DIR"); marker != "" { // by which its provider finds what is left of it
			c.Env = append(c.Env, "GRIGRI_MACHINE_DIR="+marker)
		}
		return c
	}
	who, cred := userOf("ubuntu")
	if who == nil {
		who, cred = userOf("root")
	}
	if who == nil {
		c.Env = env
		return c
	}
	c.User, c.Dir = cred, who.HomeDir
	if _, err := os.Stat(c.Dir); err != nil {
		c.Dir = "/"
	}
	c.Env = append(env, "HOME="+who.HomeDir, "USER="+who.Username, "LOGNAME="+who.Username, "SHELL=/bin/bash")
	return c
}

// userOf is the user of this name; nil when there is none, or when we may not become it.
func userOf(name string) (*user.User, *syscall.Credential) {
	u, err := user.Lookup(name)
	if err != nil || os.Geteuid() != 0 {
		return nil, nil
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil || err2 != nil {
		return nil, nil
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, _ := u.GroupIds() // those that cannot be read are not given
	for _, g := range groups {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(id))
		}
	}
	return u, c
}
