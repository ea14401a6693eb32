package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// tell sends "unit-web-0 workload active ready" and the like, each a second later than the one before.
func (w *world) tell(id pki.Identity, now time.Time, lines ...string) {
	w.t.Helper()
	var body bytes.Buffer
	for i, line := range lines {
		f := strings.SplitN(line+" ", " ", 4)
		s := agentapi.Status{Entity: f[0], StatusRecord: state.StatusRecord{Type: state.StatusType(f[1])}}
		s.Status, s.Message, s.Since = f[2], strings.TrimSpace(f[3]), now.Add(time.Duration(i)*time.Second)
		w.must(json.NewEncoder(&body).Encode(s))
	}
	if status, data := w.raw("POST", "/v1/agent/statuses", &id, nil, body.Bytes()); status != http.StatusOK {
		w.t.Errorf("statuses: %d %s", status, data)
	}
}

func (w *world) past(what string, f userapi.StatusLogFilter, want ...string) {
	w.t.Helper()
	entries, err := w.m.StatusLog(w.t.Context(), f)
	w.must(err)
	var got []string
	for _, e := range entries {
		got = append(got, strings.TrimSpace(e.Type+" "+e.Status+" "+e.Message))
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestTheLogOfStatuses(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	one, two := w.machine(w.model, "1", "web/0"), w.machine(w.model, "2", "web/1")
	now := time.Now().Add(time.Minute)
	told := []string{"unit-web-0 juju-unit executing running install hook", "unit-web-0 workload active", "unit-web-0 juju-unit idle"}
	w.tell(one, now, told...)
	w.tell(one, now, told...) // the answer was lost
	begun := []string{"workload waiting waiting for machine", "juju-unit allocating"}
	all := append(slices.Clone(begun), "juju-unit executing running install hook", "workload active", "juju-unit idle")
	w.past("a unit", userapi.StatusLogFilter{Entity: "web/0"}, all...)
	w.past("its two types", userapi.StatusLogFilter{Entity: "web/0", Type: "unit"}, all...)
	w.past("its agent", userapi.StatusLogFilter{Entity: "web/0", Type: "juju-unit"}, "juju-unit allocating", "juju-unit executing running install hook", "juju-unit idle")
	w.past("the last of its workload", userapi.StatusLogFilter{Entity: "web/0", Type: "workload", Last: 1}, "workload active")
	w.past("since then", userapi.StatusLogFilter{Entity: "web/0", After: now}, "workload active", "juju-unit idle")
	w.past("another unit", userapi.StatusLogFilter{Entity: "web/1"}, begun...)
	w.past("an application that has said nothing", userapi.StatusLogFilter{Entity: "web"}, "application unknown", "application active")
	w.past("a machine", userapi.StatusLogFilter{Entity: "1"}, "machine pending", "juju-machine pending")
	w.past("a model", userapi.StatusLogFilter{Entity: "shop"}, "model available")
	w.past("a model by its type", userapi.StatusLogFilter{Entity: "shop", Type: "model"}, "model available")

	// Nobody tells of what is another's, or what an agent has no business with.
	w.tell(two, now.Add(time.Hour), "unit-web-0 workload error", "unit-db-0 workload error", "application-db application error", "machine-1 machine error", "model model error",
		"unit-web-1 machine error", "unit-web-1 application error", "application-web workload error", "x workload error", " workload error", "../x workload error")
	w.past("a unit of which another machine tells", userapi.StatusLogFilter{Entity: "web/0"}, all...)
	w.past("a machine of which another tells", userapi.StatusLogFilter{Entity: "1"}, "machine pending", "juju-machine pending")
	w.past("a model of which a machine tells", userapi.StatusLogFilter{Entity: "shop"}, "model available")
	for _, tag := range []string{"unit-web-1", "application-web", "unit-db-0", "application-db", "model"} {
		if kept, err := w.server.Statuses.Read(w.model, tag); err != nil || len(kept) > 0 {
			t.Errorf("of %s is kept %v, %v", tag, kept, err)
		}
	}
	for _, entity := range []string{"db/0", "db"} {
		_, err := w.m.StatusLog(t.Context(), userapi.StatusLogFilter{Entity: entity})
		w.want(userapi.NotFound, "not found", err)
	}
	w.tell(two, now.Add(time.Hour), "application-web application active all is well")
	w.past("an application", userapi.StatusLogFilter{Entity: "web"}, "application unknown", "application active", "application active all is well")

	// A unit that has gone from the machine is told of to its end, and only by that machine.
	w.put(w.model.MachinePath("1"), state.Machine{})
	var tx state.Txn
	tx.Delete(w.model.UnitPath("web/0"), state.Any)
	for _, path := range []string{w.model.TasksPath("web/0"), w.model.PayloadsPath("web/0")} {
		if _, err := w.store.Get(t.Context(), path); err == nil {
			tx.Ops = slices.Insert(tx.Ops, 0, state.Op{Kind: state.OpDelete, Path: path, Version: state.Any})
		}
	}
	w.commit(tx)
	w.tell(two, now.Add(2*time.Hour), "unit-web-0 workload blocked")
	w.tell(one, now.Add(2*time.Hour), "unit-web-0 workload terminated")
	w.past("a unit that is gone", userapi.StatusLogFilter{Entity: "web/0"}, append(all[len(begun):], "workload terminated")...)

	for _, c := range []struct {
		f    userapi.StatusLogFilter
		code userapi.Code
		text string
	}{
		{userapi.StatusLogFilter{Entity: "web/7"}, userapi.NotFound, `unit "web/7" not found`},
		{userapi.StatusLogFilter{Entity: "77"}, userapi.NotFound, `machine "77" not found`},
		{userapi.StatusLogFilter{Entity: "1/lxd/0"}, userapi.NotFound, `container "1/lxd/0" not found`},
		{userapi.StatusLogFilter{Entity: "no"}, userapi.NotFound, `application "no" not found`},
		{userapi.StatusLogFilter{Entity: "no", Type: "saas"}, userapi.NotFound, `saas "no" not found`},
		{userapi.StatusLogFilter{Entity: "no", Type: "model"}, userapi.BadRequest, `"no" is not the model, which is "shop"`},
		{userapi.StatusLogFilter{Entity: "web", Type: "workload"}, userapi.BadRequest, `"web" is not a valid name for a unit`},
		{userapi.StatusLogFilter{Entity: "1/lxd/0", Type: "machine"}, userapi.BadRequest, `not a valid name for a machine`},
		{userapi.StatusLogFilter{Entity: "1", Type: "container"}, userapi.BadRequest, `not a valid name for a container`},
		{userapi.StatusLogFilter{Entity: "a b"}, userapi.BadRequest, `"a b" is not the name`},
		{userapi.StatusLogFilter{Entity: "../x/0"}, userapi.BadRequest, `is not the name`},
		{userapi.StatusLogFilter{Entity: "..%2Fx/0", Type: "unit"}, userapi.NotFound, `not found`},
		{userapi.StatusLogFilter{Entity: "web/0", Type: "x"}, userapi.BadRequest, `unexpected status type "x"`},
		{userapi.StatusLogFilter{Entity: "web/0", Last: -1}, userapi.BadRequest, `last="-1" is not a number`},
		{userapi.StatusLogFilter{}, userapi.BadRequest, "of what is not said"},
	} {
		_, err := w.m.StatusLog(t.Context(), c.f)
		w.want(c.code, c.text, err)
	}
	if status, _ := w.raw("POST", "/v1/agent/statuses", &one, nil, []byte("{")); status != http.StatusBadRequest {
		t.Errorf("what cannot be read is taken: %d", status)
	}
}
