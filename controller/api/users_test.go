package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

func (w *world) want(code userapi.Code, text string, err error) {
	w.t.Helper()
	var e *userapi.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		w.t.Errorf("got %v, want %s: %s", err, code, text)
	}
}

func TestFromDeployToDestroy(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	d := w.deploy("web", 2)
	if d.Charm.URL() != "local:web-0" || !slices.Equal(d.Units, []state.UnitName{"web/0", "web/1"}) {
		t.Fatalf("deployed %+v", d)
	}
	w.deploy("store", 1)
	r, err := w.m.Integrate(ctx, "web", "store")
	w.must(err)
	if r.Endpoints[0].String() != "store:store" || r.Endpoints[1].String() != "web:store" {
		t.Fatalf("related %+v", r)
	}
	units, err := w.m.AddUnits(ctx, "web", userapi.AddUnits{N: 1})
	w.must(err)
	if !slices.Equal(units, []state.UnitName{"web/2"}) {
		t.Fatalf("added %v", units)
	}
	report, err := w.m.Status(ctx)
	w.must(err)
	if u := report.Status.Applications["web"].Units["web/2"]; u.Workload.Current != "waiting" || u.Workload.Message != "waiting for machine" {
		t.Fatalf("web/2 is %+v", u)
	}
	if len(report.Relations) != 2 || report.Status.Model.Name != "shop" {
		t.Fatalf("status %+v", report)
	}
	would, err := w.m.RemoveUnit(ctx, "web/2", client.Removal{DryRun: true})
	w.must(err)
	if u, err := w.m.Unit(ctx, "web/2"); err != nil || u.Life != "alive" {
		t.Fatalf("a dry run has changed %+v, %v", u, err)
	}
	will, err := w.m.RemoveUnit(ctx, "web/2", client.Removal{})
	w.must(err)
	if !slices.Equal(would, will) || will[0] != "will remove unit web/2" {
		t.Fatalf("would %v, will %v", would, will)
	}
	effects, err := w.m.RemoveApplication(ctx, "web", client.Removal{DryRun: true})
	w.must(err)
	if len(effects) != 4 || effects[0] != "will remove application web" || effects[1] != "- will remove unit web/0" {
		t.Fatalf("removing web: %v", effects)
	}
	_, err = w.m.RemoveRelation(ctx, "web store", client.Removal{})
	w.must(err)
	_, err = w.admin.DestroyController(ctx, client.Removal{})
	w.want(userapi.Conflict, "admin/shop", err)
	_, err = w.m.Destroy(ctx, client.Removal{Timeout: time.Minute})
	w.must(err)
	info, err := w.m.Info(ctx)
	w.must(err)
	if info.Life != "dying" || info.Status != "destroying" || !strings.Contains(info.Message, "waits for application store and 1 more, until") {
		t.Fatalf("the model is %+v", info)
	}
	changes, err := w.m.History(ctx, 100)
	w.must(err)
	var what []string
	for _, c := range changes {
		what = append(what, c.What)
		if c.User != "admin" {
			t.Errorf("%+v was not by admin", c)
		}
	}
	if got := strings.Join(what, " "); got != "add-model add-charm deploy add-charm deploy integrate add-unit remove-unit remove-relation destroy-model" {
		t.Errorf("the history is %s", got)
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	d := w.deploy("web", 1)
	_, err := w.m.Deploy(ctx, userapi.Deploy{Name: "web", Charm: d.Charm.SHA256, Units: 1})
	w.want(userapi.AlreadyExists, `application "web" already exists`, err)
	_, err = w.m.Deploy(ctx, userapi.Deploy{Name: "Web_1", Charm: d.Charm.SHA256})
	w.want(userapi.BadRequest, "invalid application name", err)
	_, err = w.m.Deploy(ctx, userapi.Deploy{Name: "other", Charm: strings.Repeat("a", 64)})
	w.want(userapi.NotFound, "charm", err)
	_, err = w.m.Deploy(ctx, userapi.Deploy{Name: "other", Charm: d.Charm.SHA256, Config: map[string]string{"nonsense": "1"}})
	w.want(userapi.BadRequest, `unknown option "nonsense"`, err)
	_, err = w.m.AddUnits(ctx, "nothing", userapi.AddUnits{N: 1})
	w.want(userapi.NotFound, `application "nothing" not found`, err)
	_, err = w.m.Application(ctx, "web/leader") // a node that is no application
	w.want(userapi.NotFound, "not found", err)
	_, err = w.m.Unit(ctx, "web/9")
	w.want(userapi.NotFound, `unit "web/9" not found`, err)
	_, err = w.m.Integrate(ctx, "web", "web")
	w.want(userapi.BadRequest, "", err)
	_, err = w.m.RemoveRelation(ctx, "web store", client.Removal{})
	w.want(userapi.NotFound, "", err)
	_, err = w.m.RemoveMachine(ctx, "x", client.Removal{})
	w.want(userapi.NotFound, `machine "x" not found`, err)
	_, err = w.m.Resolve(ctx, userapi.Resolve{Units: []state.UnitName{"web/0"}})
	w.want(userapi.Conflict, "is not in an error state", err)
	_, err = w.m.UnitShell(ctx, "web/leader")
	w.want(userapi.Conflict, "has no leader", err)
	_, err = w.m.SetConfig(ctx, userapi.Settings{Set: map[string]string{"update-status-hook-interval": "soon"}})
	w.want(userapi.BadRequest, "update-status-hook-interval", err)
	_, err = w.m.SetConfig(ctx, userapi.Settings{Set: map[string]string{"update-status-hook-interval": "-1m"}})
	w.want(userapi.BadRequest, "nor 0 for never", err)
	_, err = w.m.SetConfig(ctx, userapi.Settings{Set: map[string]string{"egress-subnets": "10.0.0.0/8,here"}})
	w.want(userapi.BadRequest, "not a list of subnets", err)
	_, err = w.admin.Model("nothing").Info(ctx)
	w.want(userapi.NotFound, `model "nothing" not found`, err)
	_, err = w.admin.CreateModel(ctx, userapi.CreateModel{Name: "shop"})
	w.want(userapi.AlreadyExists, "already exists", err)
	_, err = w.admin.CreateModel(ctx, userapi.CreateModel{Name: "Shop!"})
	w.want(userapi.BadRequest, "not a valid name", err)
	if names, err := w.m.Resolve(ctx, userapi.Resolve{All: true}); err != nil || len(names) != 0 {
		t.Errorf("resolve all: %v, %v", names, err)
	}
	status, data := w.raw("POST", "/v1/models/shop/relations", nil, basic("admin", password), []byte(`{"endpoints":["a","b"],"more":1}`))
	if status != http.StatusBadRequest || !strings.Contains(string(data), "more") {
		t.Errorf("an unknown field: %d %s", status, data)
	}
	status, _ = w.raw("POST", "/v1/models/shop/relations", nil, basic("admin", password), append([]byte(`{"endpoints":["`), bytes.Repeat([]byte("a"), 2<<20)...))
	if status != http.StatusBadRequest {
		t.Errorf("a body of 2 MiB: %d", status)
	}
}

func TestABadArchiveIsRefusedAndNotKept(t *testing.T) {
	w := newWorld(t)
	hash, data := w.pack(w.example("web"))
	send := func(hash string, data []byte) error {
		_, err := w.m.UploadCharm(t.Context(), hash, int64(len(data)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		return err
	}
	w.want(userapi.BadRequest, "SHA-256", send(hash, append([]byte("x"), data...)))
	w.want(userapi.BadRequest, "not valid", send(sum("no zip"), []byte("no zip")))
	_, err := w.m.Charm(t.Context(), hash)
	w.want(userapi.NotFound, "", err)
	w.must(send(hash, data))
	c, err := w.m.Charm(t.Context(), hash)
	w.must(err)
	if c.ID != (charm.ID{Name: "web", Revision: 0, SHA256: hash}) || c.Size != int64(len(data)) {
		t.Errorf("uploaded %+v", c.ID)
	}
	if again := w.upload(w.example("web")); again.ID != c.ID {
		t.Errorf("the same archive is another charm: %v", again.ID)
	}
	changed := w.example("web")
	changed["new"] = "file"
	if next := w.upload(changed); next.ID.Revision != 1 {
		t.Errorf("another archive is %v", next.ID)
	}
}

// A request that is sent again does nothing again, and gets the same answer, also from a controller that does not remember it.
func TestARequestThatComesAgainActsOnce(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	header := basic("admin", password)
	header.Set(userapi.RequestHeader, "request-123")
	send := func() (int, string) {
		status, data := w.raw("POST", "/v1/models/shop/applications/web/units", nil, header, []byte(`{"n":2}`))
		return status, string(data)
	}
	status, first := send()
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, first)
	}
	header.Set(userapi.RetryHeader, "1")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if status, again := send(); status != http.StatusOK || again != first {
				t.Errorf("again: %d %s", status, again)
			}
		})
	}
	all.Wait()
	app, err := w.m.Application(t.Context(), "web")
	w.must(err)
	if len(app.Units) != 3 {
		t.Fatalf("units: %v", app.Units)
	}
	// The first reply may be lost on its way from the tree, too.
	w.store.LoseReply()
	header.Set(userapi.RequestHeader, "request-124")
	header.Del(userapi.RetryHeader)
	if status, data := send(); status != http.StatusOK || !strings.Contains(data, "web/3") {
		t.Fatalf("%d %s", status, data)
	}
	if app, err = w.m.Application(t.Context(), "web"); err != nil || len(app.Units) != 5 {
		t.Fatalf("units: %v, %v", app.Units, err)
	}
}

func TestSettings(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.deploy("web", 1)
	before, err := w.m.ApplicationConfig(ctx, "web")
	w.must(err)
	var key string
	for k, o := range before.Settings {
		if o.Type == "string" {
			key = k
		}
	}
	w.must(w.m.SetApplicationConfig(ctx, "web", userapi.Settings{Set: map[string]string{key: "a, b=c", "trust": "true"}}))
	after, err := w.m.ApplicationConfig(ctx, "web")
	w.must(err)
	if o := after.Settings[key]; o.Value != "a, b=c" || o.Source != "user" {
		t.Errorf("%s is %+v", key, o)
	}
	if o := after.Generic["trust"]; o.Value != true || o.Source != "user" {
		t.Errorf("trust is %+v", o)
	}
	// What is refused changes nothing, not even the part that could be done; reset takes trust away.
	if err := w.m.SetApplicationConfig(ctx, "web", userapi.Settings{Set: map[string]string{"trust": "false", "nosuch": "1"}}); err == nil {
		t.Error("an unknown option beside trust was taken")
	}
	if o := w.trusted(t); o != true {
		t.Errorf("a refused change has set trust to %v", o)
	}
	w.must(w.m.SetApplicationConfig(ctx, "web", userapi.Settings{Reset: []string{"trust"}}))
	if o := w.trusted(t); o != false {
		t.Errorf("reset has set trust to %v", o)
	}
	w.must(w.m.SetApplicationConfig(ctx, "web", userapi.Settings{Reset: []string{key}}))
	if after, err = w.m.ApplicationConfig(ctx, "web"); err != nil || after.Settings[key].Source == "user" {
		t.Errorf("after the reset: %+v, %v", after.Settings[key], err)
	}
	warnings, err := w.m.SetConfig(ctx, userapi.Settings{Set: map[string]string{"update-status-hook-interval": "10s", "misspelt": "x", "development": "true"}})
	if err != nil || len(warnings) != 1 {
		t.Errorf("warnings %v, %v", warnings, err)
	}
	config, err := w.m.Config(ctx)
	w.must(err)
	for key, want := range map[string]userapi.ModelSetting{
		"update-status-hook-interval": {Value: "10s", Source: "model"},
		"misspelt":                    {Value: "x", Source: "model"},
		"development":                 {Value: true, Source: "model"},
		"test-mode":                   {Value: false, Source: "default"},
		"name":                        {Value: "shop", Source: "model"},
	} {
		if config[key] != want {
			t.Errorf("%s is %+v, want %+v", key, config[key], want)
		}
	}
	c, err := provider.ParseConstraints("cores=4 mem=1G")
	w.must(err)
	w.must(w.m.SetConstraints(ctx, c))
	got, err := w.m.Constraints(ctx)
	if err != nil || got.String() != "cores=4 mem=1024M" {
		t.Errorf("constraints %s, %v", got, err)
	}
	w.must(w.m.Expose(ctx, "web", userapi.Expose{}))
	report, err := w.m.Status(ctx)
	w.must(err)
	if !report.Status.Applications["web"].Exposed {
		t.Error("web is not exposed")
	}
	w.must(w.m.Unexpose(ctx, "web"))
}

func TestTasks(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.deploy("web", 2)
	op, err := w.m.Enqueue(ctx, userapi.Enqueue{Action: state.ExecAction, Params: map[string]any{"command": "echo hi"}, Apps: []string{"web"}, Units: []string{"web/0", "web/9", "web/leader"}})
	w.must(err)
	if len(op.Tasks) != 2 || op.Status != "pending" || len(op.Refused) != 2 {
		t.Fatalf("enqueued %+v", op)
	}
	for id, task := range op.Tasks {
		w.put(w.model.TaskResultPath(task.On(), id), state.TaskResult{Status: "running", Started: time.Now()})
	}
	if got, err := w.m.Operation(ctx, op.ID, 0); err != nil || got.Status != "running" {
		t.Fatalf("the operation is %+v, %v", got, err)
	}
	done := make(chan userapi.Operation)
	go func() {
		got, err := w.m.Operation(ctx, op.ID, time.Minute)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	for id, task := range op.Tasks {
		w.put(w.model.TaskResultPath(task.On(), id), state.TaskResult{Status: "completed", Results: map[string]any{"return-code": 0}, Completed: time.Now()})
	}
	if got := <-done; got.Status != "completed" {
		t.Fatalf("the operation is %+v", got)
	}
	none, err := w.m.Enqueue(ctx, userapi.Enqueue{Action: state.ExecAction, Params: map[string]any{"command": "x"}, Units: []string{"web/9"}})
	if err != nil || none.ID != 0 || none.Refused["web/9"] == "" {
		t.Errorf("enqueued %+v, %v", none, err)
	}
	_, err = w.m.Enqueue(ctx, userapi.Enqueue{Action: "dance", Units: []string{"web/0"}})
	w.want(userapi.NotFound, `action "dance" not defined for unit "web/0" (not found)`, err)
	_, err = w.m.Task(ctx, 99, 0)
	w.want(userapi.NotFound, `task "99" not found`, err)
	_, err = w.m.CancelTask(ctx, firstTask(op))
	w.want(userapi.Conflict, "has ended", err)
}

func firstTask(op userapi.Operation) state.TaskID {
	for id := range op.Tasks {
		return id
	}
	return 0
}

func TestAStatusThatIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	_, revision, err := w.m.StatusAfter(t.Context(), "", 0)
	w.must(err)
	began := time.Now()
	_, same, err := w.m.StatusAfter(t.Context(), revision, 10*time.Millisecond)
	if err != nil || same != revision {
		t.Fatalf("nothing has changed: %s, %s, %v", revision, same, err)
	}
	w.deploy("web", 1)
	report, next, err := w.m.StatusAfter(t.Context(), revision, time.Minute)
	if err != nil || next == revision || len(report.Status.Applications) != 1 {
		t.Fatalf("%+v, %s, %v", report, next, err)
	}
	if time.Since(began) > 30*time.Second {
		t.Error("the change was not heard of")
	}
}

// Programs that read the status take a null for an error of theirs.
func TestNoNullInAStatus(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	w.put(w.model.MachinePath("0"), state.Machine{})
	for _, selectors := range [][]string{nil, {"nothing"}, {"web"}} {
		report, err := w.m.Status(t.Context(), selectors...)
		w.must(err)
		data, err := json.Marshal(report.Status)
		w.must(err)
		if null := regexp.MustCompile(`"[^"]*":null`).Find(data); null != nil {
			t.Errorf("status of %v has %s", selectors, null)
		}
	}
}

func TestModelsByAnyName(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"shop", "admin/shop", string(w.model), string(w.model[:8])} {
		m, err := w.admin.Model(name).Info(t.Context())
		if err != nil || m.UUID != w.model {
			t.Errorf("%s is %+v, %v", name, m, err)
		}
	}
	models, err := w.admin.Models(t.Context())
	if err != nil || len(models) != 2 {
		t.Errorf("models %+v, %v", models, err)
	}
}

func TestRelationsInTheirOrder(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 0)
	w.deploy("store", 0)
	made, err := w.m.Integrate(t.Context(), "store", "web")
	w.must(err)
	all, err := w.m.Relations(t.Context())
	w.must(err)
	if len(all) != 2 || all[0].ID >= all[1].ID || all[1].ID != made.ID || all[1].Endpoints[0].String() != "store:store" {
		t.Errorf("relations %+v", all)
	}
	would, err := w.m.RemoveRelation(t.Context(), made.ID.String(), client.Removal{DryRun: true})
	w.must(err)
	if len(would) != 1 || would[0] != "will remove relation web:store store:store" {
		t.Errorf("would %v", would)
	}
}

// A model may go while it is looked at: that is no fault of the controller's.
func TestAModelThatGoesWhileItIsLookedAt(t *testing.T) {
	w := newWorld(t)
	var tx state.Txn
	tx.Delete(w.model.ApplicationsPath(), state.Any)
	tx.Delete(w.model.UnitsPath(), state.Any)
	w.commit(tx)
	_, err := w.m.Info(t.Context())
	w.want(userapi.Unavailable, "is changing", err)
	w.server.Store = goingModel{w.store, w.model, new(atomic.Int32)}
	_, err = w.m.Info(t.Context())
	w.want(userapi.NotFound, `model "admin/shop" not found`, err)
}

// A goingModel has the model's node only for the first who looks.
type goingModel struct {
	state.Store
	model state.ModelID
	looks *atomic.Int32
}

func (g goingModel) Get(ctx context.Context, path string) (state.Node, error) {
	if path == g.model.Path() && g.looks.Add(1) > 1 {
		return state.Node{}, state.ErrNotFound
	}
	return g.Store.Get(ctx, path)
}

func (w *world) trusted(t *testing.T) any {
	t.Helper()
	c, err := w.m.ApplicationConfig(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	return c.Generic["trust"].Value
}
