package state_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
)

func TestTasks(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 2})
	run := func(calls ...state.Call) (state.Enqueued, error) {
		txn, out, err := state.EnqueueTasks(ctx, w.s, m, w.by, "backup", calls)
		return out, w.apply(txn, err)
	}
	_, err := run(state.Call{On: "web/0", Action: "nope"})
	fails(t, "no action", err, &notFound{Kind: "action", Name: "nope"})
	_, err = run(state.Call{On: "web/7", Action: state.ExecAction})
	fails(t, "no unit", err, &notFound{Kind: "unit", Name: "web/7"})
	one, err := run(state.Call{On: "web/0", Action: "backup"}, state.Call{On: "web/1", Action: state.ExecAction})
	two, err2 := run(state.Call{On: "web/0", Action: "backup"})
	if err != nil || err2 != nil || one.Operation != 1 || !slices.Equal(one.Tasks, []state.TaskID{2, 3}) || two.Operation != 4 || two.Tasks[0] != 5 {
		t.Errorf("enqueued %+v, %v and %+v, %v", one, err, two, err2)
	}
	cancel := func(id state.TaskID) error {
		txn, err := state.CancelTask(ctx, w.s, m, w.by, id)
		return w.apply(txn, err)
	}
	fails(t, "no task", cancel(4), &notFound{Kind: "task", Name: "4"})
	if err := cancel(3); err != nil || !read[state.Task](w, m.TaskPath("web/1", 3)).Value.Cancel {
		t.Errorf("not cancelled: %v", err)
	}
	if r := read[state.TaskResult](w, m.TaskResultPath("web/1", 3)).Value; r.Status != state.TaskCancelled || r.Completed.IsZero() || !r.Started.IsZero() {
		t.Errorf("what has not begun was cancelled as %+v", r)
	}
	fails(t, "again", cancel(3), &refused{Text: "task 3 has ended: cancelled"})
	var begun state.Txn
	begun.Create(m.TaskResultPath("web/0", 2), state.TaskResult{Status: state.TaskRunning, Started: w.by.Now})
	w.must(begun, nil)
	for range 2 { // the second time changes nothing
		if err := cancel(2); err != nil || !read[state.Task](w, m.TaskPath("web/0", 2)).Value.Cancel {
			t.Errorf("not cancelled: %v", err)
		}
	}
	if r := read[state.TaskResult](w, m.TaskResultPath("web/0", 2)).Value; r.Status != state.TaskRunning {
		t.Errorf("what runs is its unit's to end: %+v", r)
	}
	var done state.Txn
	done.Create(m.TaskResultPath("web/0", 5), state.TaskResult{Status: "completed", Completed: w.by.Now})
	w.must(done, nil)
	fails(t, "ended", cancel(5), &refused{Text: "task 5 has ended: completed"})

	txn, all, err := state.TrimOperations(ctx, w.s, m, w.by.Now.Add(time.Second), 1<<40)
	w.must(txn, err)
	if !all || !slices.Equal(w.names(m.OperationsPath()), []string{"1"}) {
		t.Errorf("operations %v are left: only the first has a task that has not ended", w.names(m.OperationsPath()))
	}
}

// What came of tasks outlives the unit, or the machine, that ran them.
func TestTasksOutlive(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 1})
	txn, _, err := state.AddMachines(ctx, w.s, m, w.by, key, 1, state.NewMachine{})
	w.must(txn, err)
	machine := state.Receiver(w.names(m.MachinesPath())[0])
	for _, on := range []state.Receiver{"web/0", machine} {
		var calls []state.Call
		for range 3 {
			calls = append(calls, state.Call{On: on, Action: state.ExecAction, Params: map[string]any{"command": "true"}})
		}
		txn, out, err := state.EnqueueTasks(ctx, w.s, m, w.by, "three", calls)
		w.must(txn, err)
		ended := state.TaskResult{Status: state.TaskCompleted, Results: map[string]any{"return-code": 0.0}, Started: w.by.Now, Completed: w.by.Now}
		var say state.Txn
		say.Create(m.TaskResultPath(on, out.Tasks[0]), ended)
		say.Create(m.TaskResultPath(on, out.Tasks[1]), state.TaskResult{Status: state.TaskRunning, Started: w.by.Now})
		w.must(say, nil)
		if unit, ok := on.Unit(); ok {
			bury(w, unit)
		} else {
			steps(w, func() (state.Txn, bool, error) { return state.BuryMachine(ctx, w.s, m, w.by, state.MachineID(on)) })
		}
		for i, want := range []state.TaskResult{ended,
			{Status: state.TaskFailed, Message: fmt.Sprintf("action terminated: %s %q was removed", on.Kind(), on), Started: w.by.Now, Completed: w.by.Now},
			{Status: state.TaskCancelled, Message: fmt.Sprintf("%s %q was removed before it began", on.Kind(), on), Completed: w.by.Now}} {
			o, who, err := state.FindTask(ctx, w.s, m, out.Tasks[i])
			if err != nil || o != out.Operation || who != on {
				t.Fatalf("task %d is found as one of %d on %q: %v", out.Tasks[i], o, who, err)
			}
			got, err := state.ReadTask(ctx, w.s, m, o, who, out.Tasks[i])
			if err != nil || got.Gone || got.Task.Params["command"] != "true" || !bytes.Equal(state.Encode(got.Result), state.Encode(want)) {
				t.Errorf("task %d of %s is %+v, %v; want %+v", i, on, got, err, want)
			}
		}
		txn, err = state.CancelTask(ctx, w.s, m, w.by, out.Tasks[0])
		fails(t, "cancel", w.apply(txn, err), &refused{Text: fmt.Sprintf("task %d has ended: %s %s is no more", out.Tasks[0], on.Kind(), on)})
	}
}

func TestTrimOperations(t *testing.T) {
	w := newWorld(t)
	w.deploy(state.Deployment{Name: "web", Units: 1})
	run := func(ended bool, output int) {
		txn, out, err := state.EnqueueTasks(ctx, w.s, m, w.by, "one", []state.Call{{On: "web/0", Action: state.ExecAction}})
		w.must(txn, err)
		if ended {
			var say state.Txn
			say.Create(m.TaskResultPath("web/0", out.Tasks[0]), state.TaskResult{Status: state.TaskCompleted,
				Results: map[string]any{"stdout": strings.Repeat("x", output)}, Completed: w.by.Now})
			w.must(say, nil)
		}
		w.by.Now = w.by.Now.Add(time.Minute)
	}
	began := w.by.Now
	for i := range 5 { // operations 1, 3, 5, 7, 9: a minute and 10,000 bytes each
		run(i != 1, 10000)
	}
	left := func(before time.Time, most int64, want ...string) {
		t.Helper()
		steps(w, func() (state.Txn, bool, error) { return state.TrimOperations(ctx, w.s, m, before, most) })
		if got := w.names(m.OperationsPath()); !slices.Equal(got, want) {
			t.Errorf("operations %v are left, want %v", got, want)
		}
	}
	left(began, 5<<30, "1", "3", "5", "7", "9")
	left(began.Add(2*time.Minute), 5<<30, "3", "5", "7", "9") // 3 has not ended
	left(began, 25000, "3", "7", "9")
	if got := w.names(m.TasksPath("web/0")); !slices.Equal(got, []string{"10", "4", "8"}) {
		t.Errorf("tasks %v are left", got)
	}
	left(began, 1, "3")
}

func TestKeepResults(t *testing.T) {
	for _, c := range []struct {
		age, size string
		d         time.Duration
		n         int64
	}{{"", "", 14 * 24 * time.Hour, 5 << 30}, {"1h", "3M", time.Hour, 3 << 20}, {"x", "-1", 14 * 24 * time.Hour, 5 << 30}, {"", "7", 14 * 24 * time.Hour, 7 << 20},
		{"", "99999999999G", 14 * 24 * time.Hour, 5 << 30}} {
		d, n := state.ModelConfig{"max-action-results-age": c.age, "max-action-results-size": c.size}.KeepResults()
		if d != c.d || n != c.n {
			t.Errorf("%q and %q: %s and %d", c.age, c.size, d, n)
		}
	}
}

// steps takes the steps of an edit until it says done.
func steps(w *world, step func() (state.Txn, bool, error)) {
	w.Helper()
	for done := false; !done; {
		var t state.Txn
		var err error
		t, done, err = step()
		w.must(t, err)
	}
}
