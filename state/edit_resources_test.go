package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/state"
)

// fed is a world with an application that wants a resource.
func fed(t tb) *world {
	w := newWorld(t)
	c := charm.Charm{Meta: charm.Meta{Name: "fed", Resources: map[string]charm.Resource{
		"data": {Type: "file", Filename: "data.txt"}, "image": {Type: "oci-image"}}}}
	txn, _, err := state.AddCharm(ctx, w.s, m, w.by, c, "sha-fed", 1)
	w.must(txn, err)
	txn, _, err = state.Deploy(ctx, w.s, m, w.by, key, state.Deployment{Name: "fed", Charm: "fed-0", Units: 1,
		Resources: map[string]state.ResourceChoice{"data": {SHA256: "hash-0", Size: 1}}})
	w.must(txn, err)
	return w
}

func (w *world) attach(c state.ResourceChoice) (state.UsedResource, error) {
	w.Helper()
	txn, used, err := state.AttachResource(ctx, w.s, m, w.by, "fed", "data", c)
	return used, w.apply(txn, err)
}

func (w *world) fed() state.Application {
	rec, err := state.Read[state.Application](ctx, w.s, m.ApplicationPath("fed"))
	if err != nil {
		w.Fatalf("%v", err)
	}
	return rec.Value
}

func TestAnotherResourceIsAnotherCharmRev(t *testing.T) {
	w := fed(t)
	for i, c := range []struct {
		choice    state.ResourceChoice
		rev, char int
	}{
		{state.ResourceChoice{SHA256: "hash-1", Size: 2}, 1, 2},
		{state.ResourceChoice{SHA256: "hash-1", Size: 2}, 1, 2}, // the same file is nothing new
		{state.ResourceChoice{Revision: 0}, 0, 3},
		{state.ResourceChoice{SHA256: "hash-0", Size: 1}, 2, 4}, // not the newest: a revision of its own
	} {
		used, err := w.attach(c.choice)
		if app := w.fed(); err != nil || used.Revision != c.rev || app.CharmRev != c.char || app.Resources["data"] != used {
			t.Errorf("%d: %+v, %+v, %v", i, used, app, err)
		}
	}
	w.by.Now = w.by.Now.Add(1)
	for want, c := range map[string]state.ResourceChoice{
		"revision 9 of resource \"data\" not found":           {Revision: 9},
		"is 9663676416 bytes, at most 8589934592 are allowed": {SHA256: "x", Size: 9 << 30},
	} {
		if _, err := w.attach(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for name, want := range map[string]string{
		"image":  "is of type oci-image, which only charms on Kubernetes use",
		"nosuch": `charm "fed" has no resource "nosuch"; it has data, image`,
	} {
		_, _, err := state.AttachResource(ctx, w.s, m, w.by, "fed", name, state.ResourceChoice{SHA256: "x"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestARefreshKeepsTheResourcesThatItsCharmHas(t *testing.T) {
	w := fed(t)
	for i, meta := range []charm.Meta{
		{Name: "fed", Resources: map[string]charm.Resource{"data": {Type: "file", Filename: "other.txt"}, "more": {Type: "file", Filename: "m"}}},
		{Name: "fed", Resources: map[string]charm.Resource{"more": {Type: "file", Filename: "m"}}},
	} {
		txn, id, err := state.AddCharm(ctx, w.s, m, w.by, charm.Charm{Meta: meta}, fmt.Sprint("sha", i), 1)
		w.must(txn, err)
		f := state.Refresh{Application: "fed", Charm: id.String()}
		if i == 0 {
			f.Resources = map[string]state.ResourceChoice{"more": {SHA256: "hash-m", Size: 1}}
		}
		txn, _, err = state.SetCharm(ctx, w.s, m, w.by, key, f)
		w.must(txn, err)
		have := w.fed().Resources
		if _, data := have["data"]; data != (i == 0) || have["more"].SHA256 != "hash-m" {
			t.Errorf("after refresh %d: %v", i, have)
		}
	}
}

func TestRevisionsThatNoOneNeedsGo(t *testing.T) {
	w := fed(t)
	for i := range 9 {
		_, err := w.attach(state.ResourceChoice{SHA256: fmt.Sprint("hash-", i+1), Size: 1})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.attach(state.ResourceChoice{Revision: 2}); err != nil {
		t.Fatal(err)
	}
	txn, left, err := state.TrimResources(ctx, w.s, m)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever is just being given one of them wins, or is told.
	racer, _, err := state.AttachResource(ctx, w.s, m, w.by, "fed", "data", state.ResourceChoice{Revision: 3})
	if err != nil {
		t.Fatal(err)
	}
	w.must(txn, nil)
	if _, err := w.s.Commit(ctx, racer); !errors.Is(err, state.ErrConflict) {
		t.Errorf("a revision that has gone was given: %v", err)
	}
	want := map[string]bool{"hash-2": true}
	for i := range state.KeptResources {
		want[fmt.Sprint("hash-", 9-i)] = true
	}
	names, err := w.s.Children(ctx, m.ResourcesPath())
	if err != nil || fmt.Sprint(left) != fmt.Sprint(want) || len(names) != len(want) {
		t.Errorf("left are %v in %v, %v; want %v", left, names, err, want)
	}
}
