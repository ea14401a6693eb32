package unit_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

// BenchmarkHook is a hook that does nothing, through the agent with its commit to a real ZooKeeper, against fork and exec of the
// same script and one bare transaction of the same size; the two in turns.
func BenchmarkHook(b *testing.B) {
	server := zktest.Start(b)
	store, err := zk.Open(b.Context(), zk.Config{Servers: []string{server.Addr}, TLS: server.Controller(), Controller: pki.ControllerName(), Machine: pki.MachineName,
		Secret: func(p state.Principal) (string, bool) { return state.Key("key").Credential(p).Secret, true }})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	if err := store.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	w := worldOn(b, store)
	w.deploy("web", webMeta, "", 1)
	w.settings["update-status-hook-interval"] = "5m"
	d := &driver{world: w, name: "web/0", paths: unit.PathsBelow(b.TempDir(), "web/0", os.Args[0])}
	d.host, err = unit.OpenHost(d.paths)
	w.must(err)
	ctx, stop := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() { served <- d.host.Serve(ctx) }()
	defer func() { stop(); <-served }()
	conf := d.config()
	conf.Store = store
	agent, err := unit.New(ctx, conf, d.host)
	w.must(err)
	hook := func() {
		w.pass(10 * time.Minute)
		for {
			op, err := agent.Step(ctx)
			w.must(err)
			if run, ok := op.(resolve.Run); ok && run.Hook.Kind == "update-status" {
				return
			}
		}
	}
	hook()
	w.must(os.WriteFile(d.paths.CharmDir()+"/dispatch", []byte("#!/bin/sh\nexit 0\n"), 0o755))

	const scratch = "/models/" + string(model) + "/scratch"
	w.edit(func(context.Context, state.Reader) (t state.Txn, err error) { t.Create(scratch, nil); return t, nil })
	value := get[state.Ledger](w, model.LedgerPath("web/0"))
	bare := func() {
		cmd := exec.Command(d.paths.CharmDir() + "/dispatch")
		w.must(cmd.Run())
		var t state.Txn
		t.Set(scratch, value, state.Any)
		_, err := store.Commit(ctx, t)
		w.must(err)
	}
	var ours, yardstick []time.Duration
	timed := func(f func()) time.Duration {
		began := time.Now()
		f()
		return time.Since(began)
	}
	for b.Loop() {
		yardstick = append(yardstick, timed(bare))
		ours = append(ours, timed(hook))
	}
	slices.Sort(ours)
	slices.Sort(yardstick)
	a, y := ours[len(ours)/2], yardstick[len(yardstick)/2]
	b.ReportMetric(float64(a)/float64(y), "ratio")
	b.ReportMetric(float64(a.Microseconds()), "hook-us")
	b.ReportMetric(float64(y.Microseconds()), "bare-us")
}
