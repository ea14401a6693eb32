package unit_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

const diskMeta = "name: disk\nsummary: x\ndescription: x\nstorage:\n  data: {type: filesystem, multiple: {range: 1-3}}\n  logs: {type: filesystem, multiple: {range: 0-}}\n"

// storage is where the storage of the unit is.
func (d *driver) storage(id string) string { return filepath.Join(d.paths.Storage.Dir, id) }

// fill gives the unit what its hooks have asked for, as the leader does.
func (d *driver) fill() {
	d.Helper()
	d.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.FillStorage(ctx, r, model, d.by(), d.name)
	})
}

// TestStorage is the life of storage in directories: there before install, more of it later, gone with the unit.
func TestStorage(t *testing.T) {
	w := newWorld(t)
	w.deploy("disk", diskMeta, "", 1)
	d := w.start("disk/0")
	d.on("data-storage-attached", `storage-get location >>attached; storage-list >>attached; echo "$JUJU_STORAGE_ID $JUJU_STORAGE_KIND" >>attached; date >"$JUJU_STORAGE_LOCATION/file"`)
	d.on("start", "storage-add logs=2")
	w.same("hooks", d.settle(), []string{"data-storage-attached", "install", "leader-elected", "config-changed", "start"})
	said, err := os.ReadFile(filepath.Join(d.paths.Agent, "attached"))
	w.must(err)
	if want := d.storage("data/0") + "\ndata/0\ndata/0 filesystem\n"; string(said) != want {
		t.Errorf("the hook heard %q, want %q", said, want)
	}
	if names := w.tickets(); !slices.Contains(names, "unit disk/0") {
		t.Errorf("storage was asked for and the tickets are %v", names)
	}
	d.fill()
	w.same("asked for in start", d.settle(), []string{"logs-storage-attached", "logs-storage-attached"})
	d.fill()
	w.same("it is given once", d.settle(), nil)

	d.boot()
	w.same("after a restart of the agent", d.settle(), nil)
	for _, txn := range d.store.commits {
		for _, op := range txn.Ops {
			if op.Path == model.LedgerPath("disk/0") {
				t.Errorf("a new agent wrote %+v", txn.Ops)
			}
		}
	}
	if _, err := os.Stat(d.storage("data/0/file")); err != nil {
		t.Errorf("what was written is gone: %v", err)
	}

	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.RemoveStorage(ctx, r, model, w.by(), "logs/1", state.Ending{Force: true}, false)
	})
	w.tickets()
	w.same("removed storage", d.settle(), []string{"logs-storage-detaching"})
	if _, err := os.Stat(d.storage("logs/1")); !os.IsNotExist(err) {
		t.Errorf("removed storage is there: %v", err)
	}
	if names := w.tickets(); !slices.Contains(names, "storage logs/1") {
		t.Errorf("storage has left and the tickets are %v", names)
	}

	d.on("stop", `ls "`+d.storage("data/0")+`" >in-stop; storage-list >>in-stop`)
	w.remove("disk/0")
	w.same("hooks of the removal", d.settle(), []string{"data-storage-detaching", "logs-storage-detaching", "stop", "remove"})
	if said, err := os.ReadFile(filepath.Join(d.paths.Agent, "in-stop")); err != nil || string(said) != "file\n" {
		t.Errorf("stop saw %q: %v", said, err)
	}
	for _, id := range []string{"data/0", "logs/2"} {
		if _, err := os.Stat(d.storage(id)); !os.IsNotExist(err) {
			t.Errorf("storage %s is left behind: %v", id, err)
		}
	}
}

// TestStorageThatComesLate: a volume is attached when the machine sees it, and what goes wrong is said.
func TestStorageThatComesLate(t *testing.T) {
	w := newWorld(t)
	id := w.charm(strings.Replace(diskMeta, "1-3}", "1-3}, location: /srv/disk", 1), "")
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		txn, _, err := state.Deploy(ctx, r, model, w.by(), w.key, state.Deployment{Name: "disk", Charm: id, Units: 1, Force: true,
			Has: provider.Storage{Volumes: "shelf"}, Storage: map[string]state.Directive{"data": {Pool: "shelf"}}})
		return txn, err
	})
	d := w.start("disk/0")
	d.end()
	d.paths.Storage.Root = t.TempDir()
	d.boot()
	w.same("nothing is there", d.settle(), nil)
	volume := filepath.Join(t.TempDir(), "volume")
	see := func(dir string) {
		w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
			return state.SetVolume(ctx, r, model, "data/0", provider.Volume{ID: "vol-1", Instance: "i-1", Dir: dir}, w.now())
		})
	}
	see(volume)
	w.same("it has not appeared", d.settle(), nil)
	ledger := get[state.Ledger](w, model.LedgerPath("disk/0"))
	if held := ledger.Storage["data/0"]; held.Problem == "" || held.Attached {
		t.Errorf("the ledger says %+v", held)
	}
	w.must(os.Mkdir(volume, 0o755))
	w.must(os.WriteFile(filepath.Join(volume, "kept"), nil, 0o644))
	w.pass(10 * time.Second)
	w.same("it has", d.settle(), []string{"data-storage-attached", "install", "leader-elected", "config-changed", "start"})
	at := filepath.Join(d.paths.Storage.Root, "srv/disk/0")
	if _, err := os.Stat(filepath.Join(at, "kept")); err != nil {
		t.Error(err)
	}
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.DetachStorage(ctx, r, model, w.by(), "data/0", state.Ending{})
	})
	w.same("detached", d.settle(), []string{"data-storage-detaching"})
	if _, err := os.Lstat(at); !os.IsNotExist(err) {
		t.Errorf("the place is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(volume, "kept")); err != nil {
		t.Errorf("the volume's content is gone: %v", err)
	}
}

// TestStorageThatGoesUntold: storage is put in its place, the agent dies before it can commit that, and the storage goes
// meanwhile. The next agent finds it.
func TestStorageThatGoesUntold(t *testing.T) {
	w := newWorld(t)
	w.deploy("disk", diskMeta, "", 1)
	d := w.start("disk/0")
	d.on("start", "storage-add logs=1")
	d.settle()
	d.fill()
	d.store.onlyOne = state.ErrUnknown
	if op, err := d.agent.Step(t.Context()); err == nil || op != nil && op.String() != "mount logs/1" {
		t.Fatalf("it did %v, %v", op, err)
	}
	if _, err := os.Stat(d.storage("logs/1")); err != nil {
		t.Fatal(err)
	}
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.RemoveStorage(ctx, r, model, w.by(), "logs/1", state.Ending{Force: true}, false)
	})
	w.edit(func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.DropAttachment(ctx, r, model, w.by(), "logs/1", "it has left")
	})
	d.boot()
	w.same("hooks", d.settle(), nil)
	if _, err := os.Stat(d.storage("logs/1")); !os.IsNotExist(err) {
		t.Errorf("what nobody knows of is left behind: %v", err)
	}
	if _, err := os.Stat(d.storage("data/0")); err != nil {
		t.Errorf("and what the unit has is gone: %v", err)
	}
}
