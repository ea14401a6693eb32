package leader

import (
	"errors"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A provider answers when the machine has been removed already: what it has started goes too.
func TestAnAnswerThatComesTooLate(t *testing.T) {
	w := newWorld(t)
	w.cloud.during = func() {
		w.cloud.during = nil
		w.removeApplication("web", state.Ending{Force: true})
	}
	w.deploy("web", 1)
	w.pass(11 * time.Minute)
	w.want("machines ")
	if left := w.cloud.machines(); left != "" || w.cloud.started != 1 {
		t.Errorf("%d were started, left are the instances of %q", w.cloud.started, left)
	}
}

// A provider makes two of one: neither is stopped while its machine is wanted, and both go with it.
func TestAnAnswerThatComesTwice(t *testing.T) {
	w := newWorld(t)
	w.cloud.during = func() {
		w.cloud.during = nil
		w.cloud.instances["i-1-again"] = tagged{"c", provider.Instance{ID: "i-1-again", Model: string(model), Machine: "0", State: provider.Running}}
	}
	w.deploy("web", 1)
	w.pass(25 * time.Minute)
	if got := w.cloud.machines(); got != "0 0" || w.cloud.started != 1 {
		t.Errorf("%d were started, left are the instances of %q", w.cloud.started, got)
	}
	if in, err := state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0")); err != nil || in.Value.ID != "i-1" {
		t.Errorf("the machine has %+v, %v", in.Value, err)
	}
	w.removeApplication("web", state.Ending{})
	w.pass(11 * time.Minute)
	w.want("machines ")
	if left := w.cloud.machines(); left != "" {
		t.Errorf("left are the instances of %q", left)
	}
}

// What a listing leaves out, or a listing that fails, is no reason to stop anything, nor to have two.
func TestAListingInPart(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	w.pass(5 * time.Minute)
	w.cloud.unseen = map[provider.InstanceID]bool{"i-1": true}
	w.pass(25 * time.Minute)
	w.cloud.instances["orphan"] = tagged{"c", provider.Instance{ID: "orphan", Model: string(model), Machine: "77", State: provider.Running}}
	w.cloud.listErr = errors.New("out of order")
	w.pass(25 * time.Minute)
	if got := w.cloud.machines(); got != "0 1 77" || w.cloud.started != 2 {
		t.Errorf("%d were started, left are the instances of %q", w.cloud.started, got)
	}
	w.cloud.listErr, w.cloud.unseen = nil, nil
	w.pass(11 * time.Minute)
	in, err := state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0"))
	if got := w.cloud.machines(); err != nil || got != "0 1" || in.Value.ID != "i-1" || in.Value.State != provider.Running {
		t.Errorf("all is listed again: left are the instances of %q, the machine has %+v, %v", got, in.Value, err)
	}
}

// A leader that has just begun hears of some instances that they are there, and nothing else: their machines are what they were, and say why no more is
// known; others are made and ended meanwhile. An orphan that nothing is known of is not stopped.
func TestAListingWithSilence(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	w.pass(5 * time.Minute)
	w.elect()
	const why = "member gamma does not answer"
	w.cloud.silent = map[provider.InstanceID]string{"i-1": why, "far": why}
	for id, machine := range map[provider.InstanceID]string{"far": "66", "near": "77"} {
		w.cloud.instances[id] = tagged{"c", provider.Instance{ID: id, Model: string(model), Machine: machine, State: provider.Running}}
	}
	w.deploy("db", 1)
	w.pass(25 * time.Minute)
	if got := w.cloud.machines(); got != "0 1 2 66" || w.cloud.started != 3 {
		t.Errorf("%d were started, left are the instances of %q", w.cloud.started, got)
	}
	for _, want := range []string{why, ""} {
		in, err := state.Read[state.Instance](t.Context(), w.store, model.InstancePath("0"))
		if err != nil || in.Value.ID != "i-1" || in.Value.State != provider.Running || in.Value.Message != want {
			t.Errorf("want the message %q: the machine has %+v, %v", want, in.Value, err)
		}
		w.cloud.silent = nil
		w.pass(25 * time.Minute)
	}
	if got := w.cloud.machines(); got != "0 1 2" {
		t.Errorf("when all are listed, left are the instances of %q", got)
	}
}
