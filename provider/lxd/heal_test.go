package lxd_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/provider"
)

// Machines that stop, two at a time, while they boot, and again as soon as they have been started, are all started again, also while
// somebody has a shell in one of them that LXD does not say has ended.
func TestMachinesThatStopAreStartedAgain(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	reqs := []provider.StartRequest{request("0", ""), request("1", "")}
	var ids []provider.InstanceID
	for _, req := range reqs {
		ids = append(ids, start(t, p, req).ID)
	}
	for n := range reqs {
		reqs[n].Controller, reqs[n].Model, reqs[n].Enrolled = controller, model, true
	}
	halt := func(id provider.InstanceID) error {
		_, err := s.Try("stop", "--force", string(id))
		return err
	}
	both := func(do func(n int) error) {
		t.Helper()
		var g errgroup.Group
		for n := range reqs {
			g.Go(func() error { return do(n) })
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	again := func(n int) error {
		in, err := p.Start(t.Context(), reqs[n])
		if err == nil && (in.State != provider.Running || in.ID != ids[n]) {
			t.Errorf("machine %d is started again and %+v", n, in)
		}
		return err
	}
	for range 3 { // at once after they have been started
		both(func(n int) error { return halt(ids[n]) })
		both(again)
	}

	begun, cancel := context.WithCancel(t.Context())
	defer cancel()
	shell := make(chan error, 1)
	h, err := p.Host(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() { shell <- h.Run(begun, "echo here; exec sleep 100000", w) }()
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Stop(soon, ids[0]); err != nil {
		t.Errorf("while somebody has a shell in it: %v", err)
	}
	if err := <-shell; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the shell has ended with %v", err)
	}
}

// A start is under way when its instance stops: that start, or the next one, brings it up.
func TestAMachineThatStopsWhileItIsStarted(t *testing.T) {
	s := server.Server(t)
	p := open(t, spec(s))
	req := request("0", "touch /root/booted")
	req.Controller, req.Model = controller, model
	name := ""
	t.Cleanup(func() {
		if err := p.Stop(context.Background(), provider.InstanceID(name)); err != nil {
			t.Error(err)
		}
	})
	var g errgroup.Group
	g.Go(func() error {
		_, err := p.Start(t.Context(), req)
		return err
	})
	await(t, "the instance to run", func() bool {
		all, err := p.List(t.Context(), controller)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range all {
			if in.Machine == req.Machine {
				name = string(in.ID)
				return in.State == provider.Running
			}
		}
		return false
	})
	if _, err := s.Try("stop", "--force", name); err != nil {
		t.Log(err) // it was not there yet
	}
	if err := g.Wait(); err != nil {
		t.Errorf("the start that was under way: %v", err)
	}
	if _, err := p.Start(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	h, err := p.Host(t.Context(), provider.InstanceID(name))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the first-boot script", func() bool { return h.Run(t.Context(), "[ -e /root/booted ]", io.Discard) == nil })
}
