package api_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// actors deploys an application whose charm has actions.
func (w *world) actors(units int) {
	w.t.Helper()
	c := w.upload(map[string]string{
		"metadata.yaml": "name: actors\nsummary: s\ndescription: d\n",
		"actions.yaml": "backup:\n  params: {to: {type: string, default: /tmp}, n: {type: integer}}\n  additionalProperties: false\n" +
			"restore: {}\n",
	})
	_, err := w.m.Deploy(w.t.Context(), userapi.Deploy{Name: "actors", Charm: c.ID.SHA256, Units: units})
	w.must(err)
}

func (w *world) run(action string, params map[string]any, units ...string) userapi.Task {
	w.t.Helper()
	op, err := w.m.Enqueue(w.t.Context(), userapi.Enqueue{Action: action, Params: params, Units: units})
	w.must(err)
	return op.Tasks[firstTask(op)]
}

func (w *world) says(task userapi.Task, r state.TaskResult) {
	w.t.Helper()
	w.put(w.model.TaskResultPath(task.On(), task.ID), r)
}

func TestActionsAreCheckedWhenTheyAreAskedFor(t *testing.T) {
	w := newWorld(t)
	w.actors(2)
	w.deploy("web", 1)
	task := w.run("backup", map[string]any{"n": 3}, "actors/0")
	if want := (map[string]any{"to": "/tmp", "n": 3.0}); task.Status != "pending" || !reflect.DeepEqual(task.Params, want) {
		t.Errorf("the task is %+v", task)
	}
	for _, test := range []struct {
		want userapi.Enqueue
		code userapi.Code
		text string
	}{
		{userapi.Enqueue{Action: "backup", Units: []string{"actors/0"}, Params: map[string]any{"n": "x"}}, userapi.BadRequest,
			`cannot run "backup" action on unit "actors/0": validation failed: n: got string, want integer`},
		{userapi.Enqueue{Action: "backup", Units: []string{"actors/0"}, Params: map[string]any{"m": 1}}, userapi.BadRequest, "additional properties 'm' not allowed"},
		{userapi.Enqueue{Action: "dance", Units: []string{"actors/0"}}, userapi.NotFound, `action "dance" not defined for unit "actors/0" (not found)`},
		// All or none.
		{userapi.Enqueue{Action: "backup", Units: []string{"actors/0", "web/0"}}, userapi.NotFound, `action "backup" not defined for unit "web/0" (not found)`},
	} {
		_, err := w.m.Enqueue(t.Context(), test.want)
		w.want(test.code, test.text, err)
	}
	ops, err := w.m.Operations(t.Context(), userapi.OperationFilter{})
	if err != nil || len(ops) != 1 {
		t.Errorf("what was refused has left %d operations, %v", len(ops), err)
	}
	all, err := w.m.Actions(t.Context(), "actors")
	if err != nil || len(all) != 2 || all["backup"].Schema["additionalProperties"] != false {
		t.Errorf("the actions are %+v, %v", all, err)
	}
}

func TestAFollowerHearsEachLine(t *testing.T) {
	w := newWorld(t)
	w.actors(1)
	task := w.run("restore", nil, "actors/0")
	begun := time.Now().UTC()
	var log []state.TaskLine
	say := func(status string, lines ...string) {
		for _, line := range lines {
			log = append(log, state.TaskLine{When: begun, Message: line})
		}
		r := state.TaskResult{Status: status, Started: begun, Log: log}
		if status == "completed" {
			r.Completed = time.Now()
		}
		w.says(task, r)
	}
	say("running", "one")
	var heard []string
	got, err := w.m.FollowTask(t.Context(), task.ID, time.Minute, func(now userapi.Task) {
		var lines []string
		for _, l := range now.Log {
			lines = append(lines, l.Message)
		}
		heard = append(heard, now.Status+" "+strings.Join(lines, ","))
		switch len(heard) { // each time something new is said once this has been heard
		case 1:
			say("running", "two", "three")
		case 2:
			say("completed", "four")
		}
	})
	if want := []string{"running one", "running one,two,three", "completed one,two,three,four"}; err != nil || got.Status != "completed" || !slices.Equal(heard, want) {
		t.Errorf("heard %q, %v", heard, err)
	}
}

func TestTasksAreCancelled(t *testing.T) {
	w := newWorld(t)
	w.actors(1)
	ctx := t.Context()
	pending := w.run("restore", nil, "actors/0")
	got, err := w.m.CancelTask(ctx, pending.ID)
	if err != nil || got.Status != "cancelled" || got.Completed.IsZero() || !got.Done() {
		t.Errorf("cancelled as %+v, %v", got, err)
	}
	running := w.run("restore", nil, "actors/0")
	w.says(running, state.TaskResult{Status: "running", Started: time.Now()})
	got, err = w.m.CancelTask(ctx, running.ID)
	if err != nil || got.Status != "aborting" || got.Done() {
		t.Errorf("cancelled as %+v, %v", got, err)
	}
	op, err := w.m.Operation(ctx, running.Operation, 0)
	if err != nil || op.Status != "running" || op.Done() || !op.Completed.IsZero() {
		t.Errorf("its operation is %+v, %v", op, err)
	}
	w.says(running, state.TaskResult{Status: "aborted", Started: time.Now(), Completed: time.Now()})
	op, err = w.m.Operation(ctx, running.Operation, time.Minute)
	if err != nil || op.Status != "aborted" || !op.Done() {
		t.Errorf("its operation is %+v, %v", op, err)
	}
	if _, err := w.m.CancelTask(ctx, running.ID); err == nil || !strings.Contains(err.Error(), "has ended: aborted") {
		t.Errorf("again: %v", err)
	}
}

func TestOperationsAreChosen(t *testing.T) {
	w := newWorld(t)
	w.actors(2)
	w.deploy("web", 1)
	ids := []state.OperationID{
		w.run("backup", nil, "actors/0").Operation,
		w.run("restore", nil, "actors/0", "actors/1").Operation,
		w.run(state.ExecAction, map[string]any{"command": "true"}, "web/0").Operation,
	}
	done := w.run("restore", nil, "actors/1")
	ids = append(ids, done.Operation)
	w.says(done, state.TaskResult{Status: "failed", Started: time.Now(), Completed: time.Now()})
	for _, test := range []struct {
		filter userapi.OperationFilter
		want   []state.OperationID
	}{
		{userapi.OperationFilter{}, ids},
		{userapi.OperationFilter{Limit: 2}, ids[2:]},
		{userapi.OperationFilter{Limit: 2, Offset: 1}, ids[1:3]},
		{userapi.OperationFilter{Offset: 9}, nil},
		{userapi.OperationFilter{Actions: []string{"restore", state.ExecAction}}, ids[1:]},
		{userapi.OperationFilter{Actions: []string{"restore"}, Limit: 1, Offset: 1}, ids[1:2]},
		{userapi.OperationFilter{Units: []string{"actors/1"}}, []state.OperationID{ids[1], ids[3]}},
		{userapi.OperationFilter{Units: []string{"actors/1"}, Apps: []string{"web"}}, ids[1:]},
		{userapi.OperationFilter{Machines: []string{"0"}}, nil},
		{userapi.OperationFilter{Statuses: []string{"failed"}}, ids[3:]},
		{userapi.OperationFilter{Statuses: []string{"pending"}, Apps: []string{"actors"}}, ids[:2]},
	} {
		ops, err := w.m.Operations(t.Context(), test.filter)
		w.must(err)
		var got []state.OperationID
		for _, op := range ops {
			got = append(got, op.ID)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v chooses %v, want %v", test.filter, got, test.want)
		}
	}
}
