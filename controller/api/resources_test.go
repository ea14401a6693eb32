package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// fed deploys an application with a resource, and returns the file's hash.
func (w *world) fed(name state.ApplicationName, content string) string {
	w.t.Helper()
	c := w.upload(map[string]string{"metadata.yaml": "name: fed\nsummary: x\ndescription: x\nresources:\n  data: {type: file, filename: d.txt}\n", "dispatch": "#!/bin/sh\n"})
	hash := sum(content)
	w.must(w.m.UploadResource(w.t.Context(), hash, int64(len(content)), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }))
	_, err := w.m.Deploy(w.t.Context(), userapi.Deploy{Name: name, Charm: c.ID.SHA256, Units: 1, Resources: map[string]userapi.ResourceChoice{"data": {SHA256: hash}}})
	w.must(err)
	return hash
}

func TestOnlyUnitsOfTheApplicationMayFetchItsResource(t *testing.T) {
	w := newWorld(t)
	one, two := w.fed("one", "the first"), w.fed("two", "the second")
	a, b := w.machine(w.model, "1", "one/0"), w.machine(w.model, "2", "two/0")
	fetch := "/v1/agent/units/one-0/resources/"
	if status, data := w.raw("GET", fetch+one, &a, nil, nil); status != http.StatusOK || string(data) != "the first" {
		t.Errorf("its own: %d %s", status, data)
	}
	for _, c := range []struct {
		what string
		path string
		want int
	}{
		{"another application's", fetch + two, http.StatusNotFound},
		{"one that is not there", fetch + sum("x"), http.StatusNotFound},
		{"a path", fetch + "..%2Fcharms", http.StatusNotFound},
		{"in another unit's name", "/v1/agent/units/two-0/resources/" + two, http.StatusForbidden},
	} {
		if status, data := w.raw("GET", c.path, &a, nil, nil); status != c.want {
			t.Errorf("%s: %d %s", c.what, status, data)
		}
	}
	if status, _ := w.raw("GET", fetch+one, &b, nil, nil); status != http.StatusForbidden {
		t.Errorf("another machine: %d", status)
	}
}

func TestBadUploadsOfResources(t *testing.T) {
	w := newWorld(t)
	w.fed("one", "the first")
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("text")), nil }
	if err := w.m.UploadResource(t.Context(), sum("other"), 4, open); !client.IsCode(err, userapi.BadRequest) {
		t.Errorf("another file than was said: %v", err)
	}
	if err := w.m.UploadResource(t.Context(), "nothex", 4, open); !client.IsCode(err, userapi.BadRequest) {
		t.Errorf("no hash: %v", err)
	}
	if _, err := w.m.AttachResource(t.Context(), "one", "data", userapi.ResourceChoice{SHA256: sum("never came")}); !client.IsCode(err, userapi.NotFound) {
		t.Errorf("a file that was not uploaded: %v", err)
	}
	if _, err := w.m.AttachResource(t.Context(), "one", "nosuch", userapi.ResourceChoice{}); !client.IsCode(err, userapi.BadRequest) {
		t.Errorf("a resource that is not: %v", err)
	}
	all, err := w.m.Resources(t.Context(), "one")
	if err != nil || len(all.Resources) != 1 || all.Resources[0].SHA256 != sum("the first") || !all.Resources[0].Given {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAnUploadIsNeverInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	w := newWorld(t)
	const size = 200 << 20
	h := sha256.New()
	_, err := io.Copy(h, io.LimitReader(zeros{}, size))
	w.must(err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w.must(w.m.UploadResource(t.Context(), hex.EncodeToString(h.Sum(nil)), size, func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(zeros{}, size)), nil
	}))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > size/2 { // of client and server: TLS and HTTP make buffers anew, and the race detector has pools forget theirs
		t.Errorf("200 MB came through %d bytes of memory", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestACharmThatAssumesWhatIsNotHereIsRefused(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 1)
	c := w.upload(map[string]string{"metadata.yaml": "name: web\nsummary: x\ndescription: x\nassumes: [juju >= 4.0, k8s-api]\n", "dispatch": "#!/bin/sh\n"})
	const want = `charm "local:web-1" cannot run here: charm requires juju >= 4.0, this is 3.6`
	_, err := w.m.Deploy(t.Context(), userapi.Deploy{Name: "other", Charm: c.ID.SHA256, Units: 1})
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `feature "k8s-api"`) {
		t.Errorf("deploy: %v, want %s", err, want)
	}
	if _, err := w.m.Refresh(t.Context(), "web", userapi.Refresh{Charm: c.ID.SHA256}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("refresh: %v, want %s", err, want)
	}
	if app, err := w.m.Application(t.Context(), "web"); err != nil || app.Charm.Revision != 0 {
		t.Errorf("after it: %+v, %v", app, err)
	}
}
