package state_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

var shelf = provider.Storage{Volumes: "shelf"}

// box is a charm with storage: box-0, and box-1 which wants more of it.
func (w *world) box() {
	w.Helper()
	for _, least := range []int{1, 2} {
		meta := charm.Meta{Name: "box", Storage: map[string]charm.Storage{
			"data": {Type: state.Filesystem, Min: least, Max: 3, MinimumMiB: 100, Location: "/srv/data"},
			"disk": {Type: state.Block, Min: 0, Max: -1}}}
		if least == 2 {
			meta.Storage["logs"] = charm.Storage{Type: state.Filesystem, Min: 1, Max: 1}
		}
		txn, _, err := state.AddCharm(ctx, w.s, m, w.by, charm.Charm{Meta: meta}, "sha", 1)
		w.must(txn, err)
	}
}

func (w *world) deployBox(n int, storage map[string]state.Directive, attach ...state.StorageID) error {
	w.Helper()
	return w.deploy(state.Deployment{Name: "box", Charm: "box-0", Units: n, Has: shelf, Storage: storage, Attach: attach})
}

// checkStorage holds storage and units to each other.
func (w *world) checkStorage() {
	w.Helper()
	all, err := state.AllStorage(ctx, w.s, m)
	w.must(state.Txn{}, err)
	for id, stored := range all {
		if stored.Unit == "" {
			if !stored.Persistent {
				w.Errorf("%s is nobody's and would not outlive anybody", id)
			}
			continue
		}
		a, has := read[state.Unit](w, m.UnitPath(stored.Unit)).Value.Attachment(id)
		if !has || a.Persistent != stored.Persistent || a.Kind != stored.Kind {
			w.Errorf("%s is %s's, which has %+v", id, stored.Unit, a)
		}
	}
	for _, node := range w.names(m.UnitsPath()) {
		u := state.UnitOfNode(node)
		for _, a := range read[state.Unit](w, m.UnitPath(u)).Value.Storage {
			if all[a.ID].Unit != u {
				w.Errorf("%s has %s, which is %+v", u, a.ID, all[a.ID])
			}
		}
	}
}

func TestDirectives(t *testing.T) {
	for text, want := range map[string]state.Directive{
		"":             {},
		"ebs":          {Pool: "ebs"},
		"2":            {Count: 2},
		"1.5G":         {SizeMiB: 1536},
		"2,ebs,10G":    {Pool: "ebs", SizeMiB: 10240, Count: 2},
		"ebs, 512M ,1": {Pool: "ebs", SizeMiB: 512, Count: 1},
	} {
		if got, err := state.ParseDirective(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "ebs,rootfs", "1,2", "1G,2G", "1X", "ebs,", "e/bs"} {
		if got, err := state.ParseDirective(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
	if got := (state.Directive{Pool: "ebs", SizeMiB: 10, Count: 2}).String(); got != "ebs,10M,2" {
		t.Error(got)
	}
}

func TestDeployWithStorage(t *testing.T) {
	w := newWorld(t)
	w.box()
	for _, c := range []struct {
		storage map[string]state.Directive
		attach  []state.StorageID
		want    error
	}{
		{map[string]state.Directive{"no": {Count: 1}}, nil, &state.InvalidError{Text: `deploy application "box": charm "box" has no store called "no"`}},
		{map[string]state.Directive{"data": {Count: 4}}, nil, &state.InvalidError{Text: `deploy application "box": charm "box" store "data": at most 3 instances supported, 4 specified`}},
		{map[string]state.Directive{"data": {SizeMiB: 99}}, nil, &state.InvalidError{Text: `deploy application "box": charm "box" store "data": minimum storage size is 100M, 99M specified`}},
		{map[string]state.Directive{"data": {Pool: "no"}}, nil, &state.NotFoundError{Kind: "pool", Name: "no"}},
		{map[string]state.Directive{"disk": {Pool: "rootfs"}}, nil, &state.InvalidError{Text: `deploy application "box": charm "box" store "disk": pool "rootfs" cannot hold block devices`}},
		{nil, []state.StorageID{"data/9"}, &state.NotFoundError{Kind: "storage", Name: "data/9"}},
	} {
		err := w.deployBox(1, c.storage, c.attach...)
		var missing *state.NotFoundError
		if errors.As(c.want, &missing) {
			if !errors.As(err, new(*state.NotFoundError)) {
				t.Errorf("%+v: %v, want %v", c.storage, err, c.want)
			}
			continue
		}
		if err == nil || err.Error() != c.want.Error() {
			t.Errorf("%+v:\ngot  %v\nwant %v", c.storage, err, c.want)
		}
	}
	w.must(state.Txn{}, w.deployBox(2, map[string]state.Directive{"disk": {SizeMiB: 5}}))
	unit := read[state.Unit](w, m.UnitPath("box/1")).Value
	if len(unit.Storage) != 2 || unit.Storage[0].ID != "data/2" || unit.Storage[0].Type != state.RootFS || unit.Storage[0].SizeMiB != 100 ||
		unit.Storage[0].Location != "/srv/data/2" || unit.Storage[1].ID != "disk/3" || unit.Storage[1].Type != "shelf" || !unit.Storage[1].Persistent {
		t.Errorf("box/1 has %+v", unit.Storage)
	}
	if unit.Storage[1].Ready() || !unit.Storage[0].Ready() {
		t.Errorf("what is there: %+v", unit.Storage)
	}
	txn, _, err := state.AddUnits(ctx, w.s, m, w.by, "box", 600, nil) // with storage fewer fit into one transaction
	w.must(txn, err)
	for done := false; !done; {
		if txn, done, err = state.KeepPromise(ctx, w.s, m, w.by, "box"); err != nil || len(txn.Ops) > 0 {
			w.must(txn, err)
		}
	}
	if all, _ := state.AllStorage(ctx, w.s, m); len(all) != 2*602 {
		t.Errorf("602 units have %d storage instances", len(all))
	}
}

// Who removes storage that its provider has refused does not wait until the provider would have been asked again.
func TestRemovedStorageIsLookedAtAtOnce(t *testing.T) {
	w := newWorld(t)
	w.box()
	w.must(state.Txn{}, w.deployBox(1, map[string]state.Directive{"disk": {SizeMiB: 5}}))
	w.must(state.FailVolume(ctx, w.s, m, "disk/1", "no", w.by.Now, w.by.Now.Add(5*time.Minute)))
	if v := read[state.Volume](w, m.VolumePath("disk/1")).Value; v.Retry.IsZero() {
		t.Fatalf("a volume that was refused is %+v", v)
	}
	w.must(state.RemoveStorage(ctx, w.s, m, w.by, "disk/1", state.Ending{Force: true}, false))
	if v := read[state.Volume](w, m.VolumePath("disk/1")).Value; !v.Retry.IsZero() || v.Problem != "no" {
		t.Errorf("after the removal it is %+v", v)
	}
}

func TestStorageOfANewCharm(t *testing.T) {
	w := newWorld(t)
	w.box()
	w.must(state.Txn{}, w.deployBox(1, nil))
	txn, _, err := state.SetCharm(ctx, w.s, m, w.by, key, state.Refresh{Application: "box", Charm: "box-1", Has: shelf})
	w.must(txn, err)
	for range 2 {
		txn, err = state.FillStorage(ctx, w.s, m, w.by, "box/0")
		w.must(txn, err)
	}
	var ids []state.StorageID
	for _, a := range read[state.Unit](w, m.UnitPath("box/0")).Value.Storage {
		ids = append(ids, a.ID)
	}
	if !slices.Equal(ids, []state.StorageID{"data/0", "data/1", "logs/2"}) {
		t.Errorf("the unit has %v", ids)
	}
	_, _, err = state.SetCharm(ctx, w.s, m, w.by, key, state.Refresh{Application: "box", Charm: "box-0", Has: shelf})
	fails(t, "a charm without storage that is there", err, &state.RefusedError{Text: `cannot refresh application "box" to charm "local:box-0": the new charm removes storage "logs"`})
}

func TestPools(t *testing.T) {
	w := newWorld(t)
	w.box()
	create := func(name, kind string) error {
		txn, err := state.CreatePool(ctx, w.s, m, w.by, shelf, name, state.Pool{Type: kind, Attributes: map[string]string{"a": "1"}})
		return w.apply(txn, err)
	}
	fails(t, "a name", create("1x", "shelf"), &state.InvalidError{Text: `pool name "1x" is not valid: use letters, digits and hyphens, a letter first`})
	fails(t, "built in", create("rootfs", "rootfs"), &state.ExistsError{Kind: "storage pool", Name: "rootfs"})
	fails(t, "a type", create("x", "ebs"), &state.InvalidError{Text: `storage provider "ebs" not found: those of this cloud are loop rootfs shelf tmpfs`})
	w.must(state.Txn{}, create("fast", "shelf"))
	fails(t, "twice", create("fast", "shelf"), &state.ExistsError{Kind: "storage pool", Name: "fast"})
	w.must(state.Txn{}, w.deployBox(1, map[string]state.Directive{"data": {Pool: "fast"}}))
	stored := read[state.Storage](w, m.StoragePath("data/0")).Value
	if stored.Type != "shelf" || stored.Attributes["a"] != "1" || !stored.Persistent {
		t.Errorf("storage of the pool is %+v", stored)
	}
	remove := func() error {
		txn, err := state.RemovePool(ctx, w.s, m, w.by, shelf, "fast")
		return w.apply(txn, err)
	}
	fails(t, "in use", remove(), &state.RefusedError{Text: `storage pool "fast" is in use by application "box"`})
	txn, err := state.UpdatePool(ctx, w.s, m, w.by, shelf, "fast", map[string]string{"b": "2"})
	w.must(txn, err)
	if p := read[state.Pool](w, m.PoolPath("fast")).Value; p.Attributes["a"] != "1" || p.Attributes["b"] != "2" {
		t.Errorf("the pool is %+v", p)
	}
	w.must(state.Txn{}, create("slow", "shelf"))
	removal, err := state.RemovePool(ctx, w.s, m, w.by, shelf, "slow")
	if err != nil {
		t.Fatal(err)
	}
	added, _, err := state.AddStorage(ctx, w.s, m, w.by, shelf, "box/0", "data", state.Directive{Pool: "slow", Count: 1})
	w.must(added, err)
	if _, err := w.s.Commit(ctx, removal); !errors.Is(err, state.ErrConflict) {
		t.Errorf("a pool goes from which storage was taken meanwhile: %v", err)
	}
}

// TestDestroyWithStorage: a model with persistent storage goes only when its user has said what is to become of that, also when
// the storage comes while that is decided.
func TestDestroyWithStorage(t *testing.T) {
	w := newWorld(t)
	w.box()
	destroy := func(how state.Ending) (state.Txn, error) {
		txn, _, err := state.DestroyModel(ctx, w.s, m, w.by, how, false)
		return txn, err
	}
	overtaken := func(about string, change func()) {
		t.Helper()
		txn, err := destroy(state.Ending{})
		if err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		change()
		if _, err := w.s.Commit(ctx, txn); !errors.Is(err, state.ErrConflict) {
			t.Errorf("%s: the model goes with it: %v", about, err)
		}
	}
	overtaken("the first storage", func() {
		w.must(state.Txn{}, w.deployBox(1, map[string]state.Directive{"data": {Pool: "rootfs"}}))
	})
	overtaken("one more", func() {
		added, _, err := state.AddStorage(ctx, w.s, m, w.by, shelf, "box/0", "data", state.Directive{Pool: "shelf"})
		w.must(added, err)
	})
	const kept = "cannot destroy the model: it has persistent storage, 1 filesystem(s) and 0 volume(s): " +
		"give --destroy-storage to destroy that too, or --release-storage to leave it where it is"
	_, err := destroy(state.Ending{})
	fails(t, "with storage", err, &refused{Text: kept})
	fails(t, "looked at before", state.KeepsNothing(ctx, w.s, m), &refused{Text: kept})
	w.must(destroy(state.Ending{Release: true}))
	if _, err = destroy(state.Ending{Force: true}); err != nil {
		t.Errorf("a model that goes, sooner: %v", err)
	}
	_, _, err = state.AddStorage(ctx, w.s, m, w.by, shelf, "box/0", "data", state.Directive{Pool: "shelf"})
	if why := (*refused)(nil); !errors.As(err, &why) || why.Text != `model "shop" is being destroyed` {
		t.Errorf("more for a model that goes: %v", err)
	}
}

// TestAnyStorageEdits makes changes of storage at random, between those of units: storage and units always agree.
func TestAnyStorageEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.box()
		w.must(state.Txn{}, w.deployBox(2, map[string]state.Directive{"data": {Pool: "shelf"}}))
		refused := 0
		stored := func(t *rapid.T) state.StorageID {
			return state.StorageOfNode(pick(t, w.names(m.StoragesPath()), "storage"))
		}
		volume := func(t *rapid.T) state.StorageID {
			id := stored(t)
			if !read[state.Storage](w, m.StoragePath(id)).Value.Persistent {
				t.Skip("it has no volume")
			}
			return id
		}
		how := func(t *rapid.T) state.Ending {
			return state.Ending{Force: rapid.Bool().Draw(t, "force"), Destroy: rapid.Bool().Draw(t, "destroy")}
		}
		may := func(txn state.Txn, err error) {
			w.may(w.apply(txn, err), &refused)
			w.checkStorage()
		}
		t.Repeat(map[string]func(*rapid.T){
			"add unit": func(t *rapid.T) {
				var attach []state.StorageID
				if rapid.Bool().Draw(t, "attach") {
					attach = []state.StorageID{stored(t)}
				}
				txn, _, err := state.AddUnits(ctx, w.s, m, w.by, "box", 1, nil, attach...)
				may(txn, err)
			},
			"add": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"data", "disk", "no"}).Draw(t, "name")
				d := state.Directive{Pool: rapid.SampledFrom([]string{"", "rootfs", "shelf"}).Draw(t, "pool"), Count: rapid.IntRange(0, 2).Draw(t, "count")}
				txn, _, err := state.AddStorage(ctx, w.s, m, w.by, shelf, w.unit(t), name, d)
				may(txn, err)
			},
			"attach": func(t *rapid.T) {
				may(state.AttachStorage(ctx, w.s, m, w.by, w.unit(t), []state.StorageID{stored(t)}))
			},
			"detach": func(t *rapid.T) { may(state.DetachStorage(ctx, w.s, m, w.by, stored(t), how(t))) },
			"remove": func(t *rapid.T) {
				may(state.RemoveStorage(ctx, w.s, m, w.by, stored(t), how(t), rapid.Bool().Draw(t, "release")))
			},
			"drop": func(t *rapid.T) { may(state.DropAttachment(ctx, w.s, m, w.by, stored(t), "")) },
			"made": func(t *rapid.T) {
				may(state.SetVolume(ctx, w.s, m, volume(t), provider.Volume{ID: "v", Instance: "i", Device: "/dev/x"}, w.by.Now))
			},
			"failed": func(t *rapid.T) {
				may(state.FailVolume(ctx, w.s, m, volume(t), "no", w.by.Now, w.by.Now.Add(time.Second)))
			},
			"bury": func(t *rapid.T) { may(state.BuryStorage(ctx, w.s, m, w.by, stored(t), "")) },
			"remove unit": func(t *rapid.T) {
				txn, _, err := state.RemoveUnits(ctx, w.s, m, w.by, []state.UnitName{w.unit(t)}, how(t))
				may(txn, err)
			},
			"bury unit": func(t *rapid.T) {
				u := w.unit(t)
				if read[state.Unit](w, m.UnitPath(u)).Value.Life == state.Alive {
					t.Skip("the leader does not bury it")
				}
				bury(w, u)
				w.checkStorage()
			},
			"": func(t *rapid.T) { w.by.Now = w.by.Now.Add(time.Second) },
		})
	})
}
