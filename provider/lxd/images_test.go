package lxd_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/provider"
)

// A stream is a server of simplestreams with one image, whose alias is tiny/1/cloud.
type stream struct {
	URL, Cert   string
	Fingerprint string
	cut         atomic.Bool // it breaks off in the middle of it
}

func newStream(t *testing.T, m *lxdtest.Member, tarball string) *stream {
	t.Helper()
	file := t.TempDir() + "/image.tar.gz"
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	sum, zip := sha256.New(), gzip.NewWriter(out)
	if _, err := io.Copy(zip, in); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(zip.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum.Write(data)
	s := &stream{Fingerprint: fmt.Sprintf("%x", sum.Sum(nil))}
	answer := func(w http.ResponseWriter, v any) { json.NewEncoder(w).Encode(v) }
	type object = map[string]any
	mux := http.NewServeMux()
	mux.HandleFunc("/streams/v1/index.json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, object{"format": "index:1.0", "index": object{"images": object{"datatype": "image-downloads", "format": "products:1.0",
			"path": "streams/v1/images.json", "products": []string{"tiny:1:amd64"}}}})
	})
	mux.HandleFunc("/streams/v1/images.json", func(w http.ResponseWriter, _ *http.Request) {
		item := object{"ftype": "lxd_combined.tar.gz", "path": "images/tiny.tar.gz", "size": len(data), "sha256": s.Fingerprint}
		answer(w, object{"content_id": "images", "datatype": "image-downloads", "format": "products:1.0", "products": object{
			"tiny:1:amd64": object{"aliases": "tiny/1,tiny/1/cloud", "arch": "amd64", "os": "Tiny", "release": "1", "release_title": "1",
				"versions": object{"20260102_03:04": object{"items": object{"lxd_combined.tar.gz": item}}}}}})
	})
	mux.HandleFunc("/images/tiny.tar.gz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		if s.cut.Load() {
			w.Write(data[:len(data)/2])
			panic(http.ErrAbortHandler)
		}
		w.Write(data)
	})
	server := httptest.NewUnstartedServer(mux)
	server.Listener.Close()
	server.Listener = m.Listen(t, "127.0.0.1:0")
	server.Config.ErrorLog = log.New(t.Output(), "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	s.URL = server.URL
	s.Cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return s
}

// Images come from other servers, by alias and by fingerprint; what stands in their way is said, and mended later they come.
func TestImageServers(t *testing.T) {
	t.Parallel()
	members := lxdtest.Members(t, nil, "user", "store")
	user, store := members[0], members[1]
	store.Serve(t)
	user.LXC(t, "storage", "create", lxdtest.Pool, "dir")
	tarball, fingerprint := store.Image(t)
	s := newStream(t, user, tarball)
	cert, err := os.ReadFile(store.Dir + "/server.crt")
	if err != nil {
		t.Fatal(err)
	}
	start := func(machine string, config map[string]string) error {
		config["image-server"] = config["at"]
		delete(config, "at")
		p := open(t, memberSpec(user, config))
		req := request(machine, "")
		req.Controller, req.Model, req.Base = controller, model, "tiny@1"
		in, err := p.Start(t.Context(), req)
		if err == nil && in.State != provider.Running {
			t.Errorf("machine %s is %+v", machine, in)
		}
		if err == nil {
			err = p.Stop(t.Context(), in.ID)
		}
		if err == nil { // so that the next one comes from the server again
			for _, line := range strings.Fields(user.LXC(t, "image", "list", "-f", "csv", "-c", "F")) {
				user.LXC(t, "image", "delete", line)
			}
		}
		return err
	}
	streams := func(image string) map[string]string {
		return map[string]string{"at": s.URL, "image-cert": s.Cert, "image": image}
	}
	lxd := func(image string) map[string]string {
		return map[string]string{"at": "https://" + store.Address, "image-protocol": "lxd", "image-cert": string(cert), "image": image}
	}
	for n, config := range []map[string]string{streams(""), streams("tiny/1"), streams(s.Fingerprint), lxd(store.Tiny), lxd(fingerprint)} {
		if err := start(fmt.Sprint(n), config); err != nil {
			t.Errorf("from %s by %q: %v", config["image-server"], config["image"], err)
		}
	}

	fails := func(what string, config map[string]string, refused bool, want ...string) {
		t.Helper()
		err := start("7", config)
		if err == nil || errors.Is(err, provider.ErrRefused) != refused {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, word := range want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s, %q is not said: %v", what, word, err)
			}
		}
	}
	untrusted := streams("tiny/1")
	delete(untrusted, "image-cert")
	fails("a certificate that nobody knows", untrusted, false, s.URL, "certificate", "image-cert")
	fails("another's certificate", map[string]string{"at": s.URL, "image-cert": string(cert), "image": "tiny/1"}, false, s.URL, "certificate")
	fails("no such alias", streams("tiny/2"), true, "tiny/2", s.URL)
	fails("no such alias in LXD", lxd("nothing"), true, "nothing", store.Address)
	s.cut.Store(true)
	fails("a server that breaks off", streams("tiny/1"), false, s.URL)
	s.cut.Store(false)
	if err := start("7", streams("tiny/1")); err != nil {
		t.Errorf("when it no longer breaks off: %v", err)
	}
	store.Kill()
	fails("a server that is down", lxd(store.Tiny), false, store.Address)
}
