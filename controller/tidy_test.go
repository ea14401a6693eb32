package controller

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/controller/logs"
	"github.com/grigri/grigri/controller/statuslog"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

func TestOnlyWhatNoOneNeedsIsRemoved(t *testing.T) {
	store := memory.New().Connect(memory.Controller)
	ctx, now := t.Context(), time.Now()
	var tx state.Txn
	for _, path := range state.Roots() {
		tx.Create(path, nil)
	}
	const m = state.ModelID("m")
	tx.Create(m.Path(), state.Model{UUID: m})
	tx.Create(m.CharmsPath(), nil)
	used, unused := strings.Repeat("a", 64), strings.Repeat("b", 64)
	tx.Create(m.CharmPath("web-0"), state.Charm{ID: charm.ID{Name: "web", SHA256: used}})
	for i := range state.KeptCharms + 1 { // the first is one too many
		id := charm.ID{Name: "db", Revision: i, SHA256: used}
		if i == 0 {
			id.SHA256 = unused
		}
		tx.Create(m.CharmPath(id.String()), state.Charm{ID: id, Added: now.Add(-2 * time.Hour)})
	}
	tx.Create(m.ResourcesPath(), nil)
	tx.Create(state.CloudPath("rack"), provider.Cloud{Name: "rack", Type: "redfish", PluginHash: used})
	tx.Create(m.ApplicationsPath(), nil)
	tx.Create(m.ApplicationPath("web"), nil)
	tx.Create(m.ResourcePath("web", "data", 0), state.Resource{Charm: "web", Name: "data", SHA256: used})
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "new": time.Minute} {
		tx.Create(state.RequestPath(name), map[string]any{"when": now.Add(-age), "answer": map[string]any{}})
	}
	if _, err := store.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &daemon{Config: Config{Dir: dir, Store: store}, logs: logs.Open(logs.Config{Dir: dir + "/logs"}), statuses: statuslog.Open(statuslog.Config{Dir: dir + "/statuses"})}
	defer d.logs.Close()
	long := now.Add(-24 * time.Hour)
	archives := map[string]archive.Dir{"charm": d.charms(), "resource": d.resources(), "plugin": Plugins(dir)}
	for _, in := range archives {
		if err := os.MkdirAll(string(in), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, hash := range []string{used, unused} {
			file := filepath.Join(string(in), hash)
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, model := range []state.ModelID{m, "gone"} {
		for _, tag := range []string{"application-web", "application-db", state.ModelTag} {
			told := agentapi.Status{Entity: tag, StatusRecord: state.StatusRecord{Type: state.StatusOfApplication}}
			if err := d.statuses.Add(model, "", told); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.logs.Append(model, []agentapi.LogLine{{Message: "x"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := trimRequests(ctx, store, now.Add(-answersOld)); err != nil {
		t.Fatal(err)
	}
	if names, err := store.Children(ctx, state.RequestsPath); err != nil || len(names) != 1 || names[0] != "new" {
		t.Errorf("answers left: %v, %v", names, err)
	}
	if err := d.trimLogs(ctx); err != nil {
		t.Fatal(err)
	}
	if models, err := d.logs.Models(); err != nil || len(models) != 1 || models[0] != m {
		t.Errorf("logs left: %v, %v", models, err)
	}
	if err := d.trimStatuses(ctx, now.Add(365*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(dir + "/statuses/*/*"); err != nil || len(left) != 2 || filepath.Base(left[0]) != "application-web.statuses" || filepath.Base(left[1]) != "model.statuses" {
		t.Errorf("statuses left: %v, %v", left, err)
	}
	if models, err := d.statuses.Models(); err != nil || len(models) != 1 || models[0] != m {
		t.Errorf("statuses left of models %v, %v", models, err)
	}
	if err := errors.Join(d.trimArchives(ctx, now), d.trimPlugins(ctx, now)); err != nil {
		t.Fatal(err)
	}
	for what, in := range archives {
		if f, _, err := in.Open(used); err != nil {
			t.Errorf("the file of a %s: %v", what, err)
		} else {
			_ = f.Close()
		}
		if _, _, err := in.Open(unused); err == nil {
			t.Errorf("the file of no %s is kept", what)
		}
	}
}
