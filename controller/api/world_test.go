package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/api"
	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/controller/logs"
	"github.com/grigri/grigri/controller/statuslog"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "a password of the admin"

// A world is a controller's API on a tree in memory, served over TLS.
type world struct {
	t         *testing.T
	tree      *memory.Tree
	store     *memory.Client
	authority pki.Authority
	key       state.Key
	address   string
	server    *api.Server
	admin     *client.Client
	model     state.ModelID
	m         client.Model
	log       *said
}

// said is all that was logged.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// sheller is a provider whose machines have a shell, and that makes none.
type sheller struct{ provider.Provider }

func (sheller) Shell(context.Context, provider.InstanceID) (provider.Shell, error) {
	return provider.Shell{Command: []string{"/bin/sh"}, Dir: "/tmp"}, nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, tree: memory.New(), key: state.Key("key"), log: &said{}}
	w.store = w.tree.Connect(memory.Controller)
	var err error
	w.authority, err = pki.NewAuthority("test", time.Now())
	w.must(err)
	controller := state.Controller{UUID: "c-uuid", Name: "c1", Cloud: "local", CA: string(w.authority.Certificate()), Created: time.Now()}
	founding := state.Founding{Controller: controller, Admin: w.user("admin", password, true), Model: state.NewModel{UUID: "controller-uuid"}}
	tx, err := state.Bootstrap(t.Context(), w.store, state.By{User: "admin", Now: time.Now()}, founding)
	w.must(err)
	w.commit(tx)

	dir := t.TempDir()
	w.server, err = api.New(api.Config{Store: w.store, Key: w.key, Authority: w.authority, Charms: archive.Dir(dir + "/charms"), Agents: archive.Dir(dir + "/agents"), Resources: archive.Dir(dir + "/resources"), Plugins: archive.Dir(dir + "/plugins"),
		Logs: logs.Open(logs.Config{Dir: dir + "/logs"}), Statuses: statuslog.Open(statuslog.Config{Dir: dir + "/statuses"}), Providers: func(context.Context, state.Place) (provider.Provider, error) { return sheller{}, nil }, Chroot: "/grigri",
		Log:       slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Addresses: state.Addresses{API: []string{"127.0.0.1:17070"}, ZooKeeper: []string{"127.0.0.1:2181"}, AgentHash: "abc"}})
	w.must(err)
	id, err := w.authority.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Both, Hosts: []string{userapi.ServerName, "127.0.0.1"}, Now: time.Now()})
	w.must(err)
	conf, err := api.TLS(id)
	w.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.address = listener.Addr().String()
	hs := &http.Server{Handler: w.server, TLSConfig: conf}
	done := make(chan error)
	go func() { done <- hs.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		w.server.End()
		_ = hs.Close()
		<-done
	})
	w.admin = w.login("admin", password)
	m, err := w.admin.CreateModel(t.Context(), userapi.CreateModel{Name: "shop"})
	w.must(err)
	w.model, w.m = m.UUID, w.admin.Model("shop")
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) commit(tx state.Txn) {
	w.t.Helper()
	_, err := w.store.Commit(w.t.Context(), tx)
	w.must(err)
}

func (w *world) put(path string, value any) {
	w.t.Helper()
	var tx state.Txn
	if n, err := w.store.Get(w.t.Context(), path); err == nil {
		tx.Set(path, value, n.Version)
	} else {
		tx.Create(path, value)
	}
	w.commit(tx)
}

func (w *world) user(name, password string, superior bool) state.User {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	w.must(err)
	return state.User{Name: name, Hash: string(hash), Superior: superior}
}

func (w *world) login(user, password string) *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{Name: "c1", Addresses: []string{w.address}, CA: string(w.authority.Certificate()), User: user, Password: password, Patience: time.Millisecond})
	w.must(err)
	w.t.Cleanup(c.Close)
	return c
}

// raw makes a request without a client: identity may be nil.
func (w *world) raw(method, path string, identity *pki.Identity, header http.Header, body []byte) (int, []byte) {
	w.t.Helper()
	pool, err := pki.Pool(w.authority.Certificate())
	w.must(err)
	conf := &tls.Config{RootCAs: pool}
	if identity != nil {
		conf, err = identity.ClientTLS("127.0.0.1")
		w.must(err)
	}
	transport := &http.Transport{TLSClientConfig: conf}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+w.address+path, bytes.NewReader(body))
	w.must(err)
	if header != nil {
		req.Header = header.Clone()
	}
	resp, err := transport.RoundTrip(req)
	w.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, data
}

// machine makes a machine's identity without enrolment, and its node.
func (w *world) machine(m state.ModelID, id state.MachineID, units ...state.UnitName) pki.Identity {
	w.t.Helper()
	w.put(m.MachinePath(id), state.Machine{Units: units})
	identity, err := w.authority.Identity(pki.Request{Subject: pki.MachineName(m, id), Now: time.Now()})
	w.must(err)
	return identity
}

// pack packs a charm of the files.
func (w *world) pack(files map[string]string) (hash string, data []byte) {
	w.t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o755}
	}
	var b bytes.Buffer
	if _, _, err := charm.Archive(&b, fsys); err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:]), b.Bytes()
}

func (w *world) upload(files map[string]string) state.Charm {
	w.t.Helper()
	hash, data := w.pack(files)
	c, err := w.m.UploadCharm(w.t.Context(), hash, int64(len(data)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	w.must(err)
	return c
}

// example is one of the charms in examples.
func (w *world) example(name string) map[string]string {
	w.t.Helper()
	files := map[string]string{}
	for _, file := range []string{"metadata.yaml", "config.yaml"} {
		data, err := os.ReadFile("../../examples/charms/" + name + "/" + file)
		w.must(err)
		files[file] = string(data)
	}
	files["dispatch"] = "#!/bin/sh\n"
	return files
}

// deploy deploys an example under its own name.
func (w *world) deploy(name string, units int) userapi.Deployed {
	w.t.Helper()
	c := w.upload(w.example(name))
	d, err := w.m.Deploy(w.t.Context(), userapi.Deploy{Name: state.ApplicationName(name), Charm: c.ID.SHA256, Units: units})
	w.must(err)
	return d
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}
