package unit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

const fedMeta = `name: fed
summary: reads its resources
description: x
resources:
  data: {type: file, filename: data.txt}
payloads:
  monitor: {type: docker}
`

// attach gives the application a file.
func (w *world) attach(app state.ApplicationName, name, content string) state.UsedResource {
	w.Helper()
	sum := sha256.Sum256([]byte(content))
	hash := hex.EncodeToString(sum[:])
	w.files[hash] = []byte(content)
	var used state.UsedResource
	w.edit(func(ctx context.Context, r state.Reader) (t state.Txn, err error) {
		t, used, err = state.AttachResource(ctx, r, model, w.by(), app, name, state.ResourceChoice{SHA256: hash, Size: int64(len(content))})
		return t, err
	})
	return used
}

func TestAResourceIsFetchedOnceAndAgainWhenItIsAnother(t *testing.T) {
	w := newWorld(t)
	w.deploy("fed", fedMeta, "", 1)
	first := w.attach("fed", "data", "one")
	d := w.start("fed/0")
	d.on("any", "p=$(resource-get data)\necho \"$p $(cat $p)\" >>seen\n")
	d.settle()
	path := filepath.Join(d.paths.Agent, "resources/data/data.txt")
	if got, want := d.seen(), path+" one"; slices.ContainsFunc(got, func(s string) bool { return s != want }) || len(got) == 0 {
		t.Fatalf("hooks saw %q, want %q", got, want)
	}
	if got := get[state.UnitResources](w, model.UnitResourcesPath("fed/0")); got["data"] != first {
		t.Errorf("the unit says that it has %v", got)
	}

	// Without the controllers what is there still is.
	sums := w.files
	w.files = nil
	d.on("any", "p=$(resource-get data)\necho \"$p $(cat $p)\" >>seen\n")
	w.settings = state.ModelConfig{"update-status-hook-interval": "1m"}
	w.pass(10 * 60e9)
	if ran := d.settle(); !slices.Equal(ran, []string{"update-status"}) || len(d.seen()) != 1 {
		t.Errorf("%q ran", ran)
	}
	w.files = sums
	w.settings = state.ModelConfig{"update-status-hook-interval": "0"}

	w.attach("fed", "data", "two")
	if ran := d.settle(); !slices.Equal(ran, []string{"upgrade-charm", "config-changed"}) {
		t.Errorf("for another file %q ran", ran)
	}
	if got, want := d.seen(), []string{path + " two", path + " two"}; !slices.Equal(got, want) {
		t.Errorf("hooks saw %q, want %q", got, want)
	}

	// What someone has changed is not what was asked for.
	d.must(os.WriteFile(path, []byte("tampered with"), 0o644))
	w.attach("fed", "data", "one")
	w.attach("fed", "data", "two")
	d.settle()
	if got, want := d.seen(), []string{path + " two", path + " two"}; !slices.Equal(got, want) {
		t.Errorf("hooks saw %q, want %q", got, want)
	}
}

// seen is the lines that hooks have written since the last call.
func (d *driver) seen() []string {
	file := filepath.Join(d.paths.Agent, "seen")
	data, _ := os.ReadFile(file)
	os.Remove(file)
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

func TestWhatIsNotTheResourceIsNotUsed(t *testing.T) {
	w := newWorld(t)
	w.deploy("fed", fedMeta, "", 1)
	used := w.attach("fed", "data", "one")
	w.files[used.SHA256] = []byte("0ne")
	d := w.start("fed/0")
	d.on("any", "resource-get data >>seen 2>&1 || exit 3\n")
	d.settle()
	want := `ERROR could not download resource: resource "data" of application "fed", revision 0: what came is 3 bytes with SHA-256 `
	if got := d.seen(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("the hook was told %q, want %q...", got, want)
	}
	for _, dir := range []string{"resources/data", "state"} {
		entries, _ := os.ReadDir(filepath.Join(d.paths.Agent, dir))
		for _, e := range entries {
			if dir != "state" || strings.HasPrefix(e.Name(), "fetched") || strings.HasPrefix(e.Name(), "resource") {
				t.Errorf("%s/%s is left", dir, e.Name())
			}
		}
	}
	if _, err := state.Read[state.UnitResources](t.Context(), w.admin, model.UnitResourcesPath("fed/0")); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("the unit says that it has it: %v", err)
	}
	w.files[used.SHA256] = []byte("one")
	w.pass(3600e9)
	if ran := d.settle(); len(ran) == 0 || ran[0] != "install" {
		t.Errorf("%q ran when the resource is right", ran)
	}
}

// zeros is the controllers' API with one endless file.
type zeros struct{ unit.API }

func (zeros) Resource(context.Context, state.UnitName, string) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeroReader{}, 200<<20)), nil
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestALargeResourceIsNeverInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	host, err := unit.OpenHost(unit.PathsBelow(t.TempDir(), "fed/0", os.Args[0]))
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(zeroReader{}, 200<<20)); err != nil {
		t.Fatal(err)
	}
	want := unit.WantedFile{Resource: "data", Filename: "data.bin", UsedResource: state.UsedResource{SHA256: hex.EncodeToString(h.Sum(nil)), Size: 200 << 20}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	path, err := host.Resource(t.Context(), zeros{}, "fed/0", want)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("200 MB came through %d bytes of memory", n)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 200<<20 {
		t.Errorf("%v, %v", info, err)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	_ = host.Serve(ctx)
}

func TestPayloadsAreTold(t *testing.T) {
	w := newWorld(t)
	w.deploy("fed", fedMeta, "", 1)
	d := w.start("fed/0")
	d.on("install", "payload-register docker monitor m-1 blue\npayload-register docker monitor m-2\nexit 1\n") // at once: also when the hook fails
	d.settle()
	path := model.PayloadsPath("fed/0")
	want := []state.Payload{{Class: "monitor", Type: "docker", ID: "m-1", Status: "running", Labels: []string{"blue"}},
		{Class: "monitor", Type: "docker", ID: "m-2", Status: "running"}}
	if got := get[[]state.Payload](w, path); !bytes.Equal(state.Encode(got), state.Encode(want)) {
		t.Errorf("the unit has %v, want %v", got, want)
	}
	d.on("install", "payload-unregister monitor m-2\npayload-status-set monitor m-1 stopped\n")
	w.pass(3600e9)
	d.settle()
	want = want[:1]
	want[0].Status = "stopped"
	if got := get[[]state.Payload](w, path); !bytes.Equal(state.Encode(got), state.Encode(want)) {
		t.Errorf("the unit has %v, want %v", got, want)
	}
}

func TestOnlyATrustedApplicationHasTheCredential(t *testing.T) {
	w := newWorld(t)
	w.cloud = &hooks.CloudSpec{Type: "ec2", Name: "aws", Attributes: map[string]string{"secret-key": "SK"}}
	w.deploy("fed", fedMeta, "", 1)
	d := w.start("fed/0")
	d.on("any", "credential-get --format=json >>seen 2>&1 || true\n")
	d.settle()
	for _, line := range d.seen() {
		if line != "ERROR cannot access cloud credentials: permission denied" {
			t.Errorf("without trust: %q", line)
		}
	}
	app := get[state.Application](w, model.ApplicationPath("fed"))
	app.Trust = true
	put(w, model.ApplicationPath("fed"), app)
	d.settle()
	if got := d.seen(); len(got) != 1 || !strings.Contains(got[0], `"attrs":{"secret-key":"SK"}`) {
		t.Errorf("with trust: %q", got)
	}
}
