package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/charm/unpack"
	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state/zkserver"
)

const modelName = "scale"

// A world is the environment: ZooKeeper and two kinds of processes, as a user sees them.
type world struct {
	plan
	site       site
	zkPID      atomic.Int64
	tls        *tls.Config // a controller's, for ZooKeeper
	user       controller.Bootstrapped
	client     *client.Client
	model      client.Model
	charm      string // the hash of its archive
	controller *process
	hosts      []*process
	stopZK     func() error
}

// openWorld brings up ZooKeeper, the controller, an empty model, and the processes that will play its machines.
func openWorld(ctx context.Context, p plan) (*world, error) {
	w := &world{plan: p, stopZK: func() error { return nil }}
	if err := w.open(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) open(ctx context.Context) error {
	own := filepath.Join(w.dir, controllerDir)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.site.API = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	var secrets controller.Secrets
	w.user, secrets, err = controller.Bootstrap(controller.BootstrapConfig{Dir: own, Name: "scale", Cloud: "local", Addresses: []string{w.site.API}, Now: time.Now()})
	if err != nil {
		return err
	}
	if err := w.startZooKeeper(ctx, secrets); err != nil {
		return err
	}
	if err := w.site.save(w.dir); err != nil {
		return err
	}
	w.client, err = client.New(client.Config{Name: "scale", Addresses: []string{w.site.API}, CA: w.user.CA, User: w.user.User, Password: w.user.Password, Patience: time.Minute})
	if err != nil {
		return err
	}
	if err := w.startController(ctx); err != nil {
		return err
	}
	m, err := w.client.CreateModel(ctx, userapi.CreateModel{Name: modelName})
	if err != nil {
		return err
	}
	w.site.Model, w.model = m.UUID, w.client.Model(modelName)
	if err := w.site.save(w.dir); err != nil {
		return err
	}
	if _, err := w.model.SetConfig(ctx, userapi.Settings{Set: map[string]string{"update-status-hook-interval": "0"}}); err != nil {
		return err
	}
	if err := w.uploadCharm(ctx); err != nil {
		return err
	}
	for i := range w.plan.hosts {
		h, err := start(ctx, w.dir, "machines", fmt.Sprintf("%d/%d", i, w.plan.hosts))
		if err != nil {
			return err
		}
		w.hosts = append(w.hosts, h)
	}
	return nil
}

// startZooKeeper runs it as grigrid does.
func (w *world) startZooKeeper(ctx context.Context, secrets controller.Secrets) (err error) {
	server, err := secrets.Authority.Identity(pki.Request{Subject: pki.ZooKeeperName(), Use: pki.Server, Hosts: []string{pki.ZooKeeperHost}, Now: time.Now()})
	if err != nil {
		return err
	}
	if w.tls, err = controllerTLS(secrets); err != nil {
		return err
	}
	conf := zkserver.Config{Dir: filepath.Join(w.dir, "zookeeper"), Listen: "127.0.0.1:0", Identity: server, Super: pki.ControllerName().String(), HeapMiB: w.heap,
		Started: func(pid int) { w.zkPID.Store(int64(pid)) }, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if w.site.ZooKeeper, err = zkserver.Prepare(conf); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return zkserver.Run(ctx, conf) })
	w.stopZK = func() error { cancel(); return g.Wait() }
	return zkserver.Ready(ctx, w.site.ZooKeeper, w.tls)
}

// startController returns when its API answers.
func (w *world) startController(ctx context.Context) (err error) {
	if w.controller, err = start(ctx, w.dir, "controller", ""); err != nil {
		return err
	}
	if line, err := w.controller.out.ReadString('\n'); err != nil || line != "ready\n" {
		return fmt.Errorf("the controller says %q: %w", line, err)
	}
	return nil
}

// uploadCharm uploads a charm that has a setting and both ends of a relation.
func (w *world) uploadCharm(ctx context.Context) error {
	dir := filepath.Join(w.dir, charmDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"metadata.yaml": "name: talk\nsummary: Talks.\ndescription: For measurements.\nprovides:\n  up: {interface: talk}\nrequires:\n  down: {interface: talk}\n",
		"config.yaml":   "options:\n  v: {type: string, default: \"\", description: what to say}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	fsys, err := unpack.Dir(dir)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	sha, size, err := charm.Archive(&archive, fsys)
	if err != nil {
		return err
	}
	w.charm = sha
	_, err = w.model.UploadCharm(ctx, sha, size, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	return err
}

// close ends all of it.
func (w *world) close() error {
	for _, p := range append(w.hosts, w.controller) {
		if p != nil {
			p.kill()
		}
	}
	return w.stopZK()
}

// ask puts the question to all who play machines.
func (w *world) ask(question string) (sum tally, err error) {
	for _, h := range w.hosts {
		t, err := h.ask(question)
		if err != nil {
			return sum, err
		}
		sum = sum.add(t)
	}
	return sum, nil
}

// server is what ZooKeeper says of itself.
func (w *world) server() (map[string]int, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", w.site.ZooKeeper, w.tls)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("mntr")); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		return nil, err
	}
	out := map[string]int{}
	for line := range strings.Lines(string(answer)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = int(n)
		}
	}
	return out, nil
}
