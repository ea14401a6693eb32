package leader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// shelf is the volumes of a cloud. It is a Volumer without content; TestCloud holds it to the contract of all.
type shelf struct {
	volumes map[provider.VolumeID]stored
	made    int
	volErr  error // what each change gets
}

type stored struct {
	controller string
	provider.Volume
}

var has = provider.Storage{Volumes: "shelf"}

func (c *cloud) Storage() provider.Storage { return has }

func (c *cloud) CreateVolume(_ context.Context, req provider.VolumeRequest) (provider.Volume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.volErr != nil {
		return provider.Volume{}, c.volErr
	}
	for _, v := range c.volumes {
		if v.controller == req.Controller && v.Model == req.Model && v.Volume.Volume == req.Volume {
			return v.Volume, nil
		}
	}
	c.made++
	v := provider.Volume{ID: provider.VolumeID(fmt.Sprintf("vol-%d", c.made)), Model: req.Model, Volume: req.Volume, SizeMiB: req.SizeMiB}
	if c.volumes == nil {
		c.volumes = map[provider.VolumeID]stored{}
	}
	c.volumes[v.ID] = stored{req.Controller, v}
	return v, nil
}

func (c *cloud) AttachVolume(_ context.Context, id provider.VolumeID, in provider.InstanceID) (provider.Volume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, there := c.volumes[id]
	switch {
	case c.volErr != nil:
		return provider.Volume{}, c.volErr
	case !there:
		return provider.Volume{}, fmt.Errorf("volume %s: %w", id, provider.ErrNotFound)
	case v.Instance != "" && v.Instance != in:
		return provider.Volume{}, fmt.Errorf("volume %s is in use: %w", id, provider.ErrTransient)
	}
	v.Instance, v.Device = in, "/dev/disk/by-id/"+string(id)
	c.volumes[id] = v
	return v.Volume, nil
}

func (c *cloud) DetachVolume(_ context.Context, id provider.VolumeID, in provider.InstanceID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.volErr != nil {
		return c.volErr
	}
	if v, there := c.volumes[id]; there && v.Instance == in {
		v.Instance, v.Device = "", ""
		c.volumes[id] = v
	}
	return nil
}

func (c *cloud) DeleteVolume(_ context.Context, ids ...provider.VolumeID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		switch {
		case c.volErr != nil:
			return c.volErr
		case c.volumes[id].Instance != "":
			return fmt.Errorf("volume %s is in use: %w", id, provider.ErrTransient)
		}
		delete(c.volumes, id)
	}
	return nil
}

func (c *cloud) ListVolumes(_ context.Context, controller string) ([]provider.Volume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []provider.Volume
	for _, id := range slices.Sorted(maps.Keys(c.volumes)) {
		if v := c.volumes[id]; v.controller == controller {
			out = append(out, v.Volume)
		}
	}
	return out, nil
}

// keep does what a unit's agent would with its storage: it holds what is there, and lets go of what goes.
func (w *world) keep(t *state.Txn, u state.UnitName, unit state.Unit, ledger *state.Ledger) {
	held := map[state.StorageID]state.Held{}
	for _, a := range unit.Storage {
		if a.Ready() && a.Life == state.Alive {
			held[a.ID] = state.Held{Kind: a.Kind, Location: a.Device, Attached: true}
		}
	}
	if maps.Equal(held, ledger.Storage) {
		return
	}
	for id := range ledger.Storage {
		if _, still := held[id]; !still {
			t.Tell(model, state.TicketStorage, string(id))
		}
	}
	ledger.Storage = held
}

// box deploys an application of a charm with storage.
func (w *world) box(n int, storage map[string]state.Directive) {
	w.Helper()
	meta := charm.Meta{Name: "box", Storage: map[string]charm.Storage{"data": {Type: state.Filesystem, Min: 1, Max: 1}, "more": {Type: state.Block, Min: 0, Max: 3}}}
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.AddCharm(ctx, r, model, w.by(), charm.Charm{Meta: meta}, "sha", 1)
		return t, err
	})
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		t, _, err := state.Deploy(ctx, r, model, w.by(), key, state.Deployment{Name: "box", Charm: "box-0", Units: n, Has: has, Storage: storage})
		return t, err
	})
}

var onShelf = map[string]state.Directive{"data": {Pool: "shelf"}}

// stored is all storage in few words: "data/0 box/0 vol-1@i-1".
func (w *world) stored() string {
	all, err := state.AllStorage(context.Background(), w.store.Client, model)
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, id := range slices.SortedFunc(maps.Keys(all), state.CompareStorage) {
		volume, _ := state.ReadIf[state.Volume](context.Background(), w.store.Client, model.VolumePath(id))
		text := string(id)
		if all[id].Unit != "" {
			text += " " + string(all[id].Unit)
		}
		if volume.Value.ID != "" {
			text += " " + string(volume.Value.ID)
		}
		if volume.Value.Instance != "" {
			text += "@" + string(volume.Value.Instance)
		}
		if all[id].Life != state.Alive {
			text += " " + string(all[id].Life)
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func (w *world) wantStored(want string) {
	w.Helper()
	w.settle()
	if got := w.stored(); got != want {
		w.Errorf("storage is\n%s\nwant\n%s\n%s", got, want, w.logs)
	}
}

// shelved is the volumes that there are.
func (w *world) shelved() string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(w.cloud.volumes)) {
		out = append(out, strings.TrimSuffix(string(id)+"@"+string(w.cloud.volumes[id].Instance), "@"))
	}
	return strings.Join(out, " ")
}

func (w *world) detach(id state.StorageID, how state.Ending) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.DetachStorage(ctx, r, model, w.by(), id, how)
	})
}

func (w *world) attach(u state.UnitName, id state.StorageID) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.AttachStorage(ctx, r, model, w.by(), u, []state.StorageID{id})
	})
}

func (w *world) removeStorage(id state.StorageID, how state.Ending, release bool) {
	w.Helper()
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.RemoveStorage(ctx, r, model, w.by(), id, how, release)
	})
}

// storedLife is the life of a volume: made, kept when its unit goes, given to the next one, and removed.
func (w *world) storedLife() {
	w.Helper()
	w.box(2, onShelf)
	w.wantStored("data/0 box/0 vol-1@i-1; data/1 box/1 vol-2@i-2")
	w.removeUnit("box/0", state.Ending{})
	w.wantStored("data/0 vol-1; data/1 box/1 vol-2@i-2")
	w.detach("data/1", state.Ending{})
	w.wantStored("data/0 vol-1; data/1 vol-2")
	w.attach("box/1", "data/0")
	w.wantStored("data/0 box/1 vol-1@i-2; data/1 vol-2")
	w.removeStorage("data/1", state.Ending{}, false)
	w.removeStorage("data/0", state.Ending{Force: true}, false)
	w.wantStored("")
}

func TestVolumes(t *testing.T) {
	w := newWorld(t)
	w.storedLife()
	if left := w.shelved(); left != "" || w.cloud.made != 2 {
		t.Errorf("%d volumes were made, left are %s", w.cloud.made, left)
	}
	w.quiet()
}

// TestCrashWithVolumes ends the leader before and after each of its commits: no volume is made twice or left behind.
func TestCrashWithVolumes(t *testing.T) {
	whole := newWorld(t)
	before := whole.store.commits
	whole.storedLife()
	for i := 1; i <= whole.store.commits-before; i++ {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.store.dieAt, w.store.after = w.store.commits+i, after
			w.storedLife()
			if left := w.shelved(); left != "" || w.cloud.made != 2 {
				t.Errorf("commit %d, after=%t: %d volumes were made, left are %s", i, after, w.cloud.made, left)
			}
			w.quiet()
		}
	}
}

func TestAVolumeThatCannotBeHad(t *testing.T) {
	w := newWorld(t)
	w.cloud.volErr = errors.New("too many volumes")
	w.box(1, onShelf)
	w.settle()
	volume, err := state.Read[state.Volume](t.Context(), w.store.Client, model.VolumePath("data/0"))
	if err != nil || !strings.Contains(volume.Value.Problem, "too many volumes") || volume.Value.Failures != 1 {
		t.Errorf("recorded is %+v, %v", volume.Value, err)
	}
	w.cloud.volErr = nil
	w.pass(time.Minute)
	w.wantStored("data/0 box/0 vol-1@i-1")
	volume, _ = state.Read[state.Volume](t.Context(), w.store.Client, model.VolumePath("data/0"))
	if volume.Value.Problem != "" {
		t.Errorf("the problem is over and recorded is %+v", volume.Value)
	}
}

// TestAVolumeThatStays goes from the model at the deadline although the provider does not delete it.
func TestAVolumeThatStays(t *testing.T) {
	w := newWorld(t)
	w.box(1, onShelf)
	w.settle()
	w.removeUnit("box/0", state.Ending{})
	w.settle()
	w.cloud.volErr = errors.New("not now")
	w.removeStorage("data/0", state.Ending{}, false)
	w.wantStored("data/0 vol-1 dying")
	w.pass(state.DefaultDeadline + 6*time.Minute)
	w.wantStored("")
	if !strings.Contains(w.logs.String(), "its volume may still be there") {
		t.Errorf("nobody was told:\n%s", w.logs)
	}
}

// TestAnAgentThatDoesNotLetGo keeps nobody from having the storage for longer than the deadline.
func TestAnAgentThatDoesNotLetGo(t *testing.T) {
	w := newWorld(t)
	w.box(1, onShelf)
	w.settle()
	w.stuck["box/0"] = true
	w.detach("data/0", state.Ending{Timeout: time.Minute})
	w.wantStored("data/0 box/0 vol-1@i-1")
	w.pass(5 * time.Minute)
	w.wantStored("data/0 vol-1")
	w.attach("box/0", "data/0")
	w.settle()
	w.detach("data/0", state.Ending{Force: true})
	w.wantStored("data/0 vol-1")
}

func TestStorageGoesWithItsUnitIfAsked(t *testing.T) {
	w := newWorld(t)
	w.box(1, onShelf)
	w.settle()
	w.removeApplication("box", state.Ending{Destroy: true})
	w.wantStored("")
	if left := w.shelved(); left != "" {
		t.Errorf("left are %s", left)
	}
	w.want("machines ")
}

func TestStorageOfMachinesGoesWithItsUnit(t *testing.T) {
	w := newWorld(t)
	w.box(2, nil)
	w.wantStored("data/0 box/0; data/1 box/1")
	w.removeUnit("box/0", state.Ending{})
	w.wantStored("data/1 box/1")
	w.removeStorage("data/1", state.Ending{Force: true}, false)
	w.wantStored("")
}

// TestAskedStorage is given once, whoever leads, and what is too much is refused and said.
func TestAskedStorage(t *testing.T) {
	w := newWorld(t)
	w.box(1, onShelf)
	w.settle()
	ask := func(n int) {
		edit(w, func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
			rec, err := state.Read[state.Ledger](ctx, r, model.LedgerPath("box/0"))
			rec.Value.StorageAsked = map[string]int{"more": n}
			t.Set(rec.Path, rec.Value, rec.Version)
			t.Tell(model, state.TicketUnit, "box/0")
			return t, err
		})
	}
	ask(2)
	w.wantStored("data/0 box/0 vol-1@i-1; more/1 box/0 vol-2@i-1; more/2 box/0 vol-3@i-1")
	w.elect()
	w.wantStored("data/0 box/0 vol-1@i-1; more/1 box/0 vol-2@i-1; more/2 box/0 vol-3@i-1")
	ask(9)
	w.wantStored("data/0 box/0 vol-1@i-1; more/1 box/0 vol-2@i-1; more/2 box/0 vol-3@i-1")
}

func TestModelsGoWithTheirStorage(t *testing.T) {
	for _, destroy := range []bool{true, false} {
		w := newWorld(t)
		w.box(2, onShelf)
		w.settle()
		w.removeUnit("box/0", state.Ending{})
		w.settle()
		edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
			t, _, err := state.DestroyModel(ctx, r, model, w.by(), state.Ending{Destroy: destroy, Release: !destroy}, false)
			return t, err
		})
		w.settle()
		if there, _ := state.Exists(t.Context(), w.store.Client, model.Path()); there {
			t.Errorf("destroy=%t: the model is still there, with %q\n%s", destroy, w.stored(), w.logs)
		}
		if left := w.shelved(); left != map[bool]string{true: "", false: "vol-1 vol-2"}[destroy] {
			t.Errorf("destroy=%t: left are %q", destroy, left)
		}
	}
}
