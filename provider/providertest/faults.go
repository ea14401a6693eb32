package providertest

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
)

// A Fault is what may happen to a request between a provider and what it asks.
type Fault string

// The faults.
const (
	Refuse   Fault = "refused"  // it is answered that there is too much to do
	Cut      Fault = "cut"      // the connection ends before it arrives
	Lose     Fault = "lost"     // it is carried out, and the connection ends without an answer
	Late     Fault = "late"     // it is carried out, and answered when the wire is mended
	Twice    Fault = "twice"    // it is carried out twice, and the second answer is given
	Half     Fault = "half"     // it is carried out, and the connection ends in the middle of the answer
	Nonsense Fault = "nonsense" // it is not carried out, and somebody else answers
	Call     Fault = "call"     // it is carried out, and answered when Harm.Call has returned
)

// A Harm is what a Wire does to requests until it is mended.
type Harm struct {
	Fault   Fault
	Changes bool              // it meets requests that change something alone
	Only    func(string) bool // it meets the requests of these kinds alone
	Always  bool              // it meets every request; otherwise the first one of each kind
	Call    func()            // of Call and Late, when the request has been carried out
}

// A Wire is the way from a provider to what it asks.
type Wire interface {
	Do(Harm)
	Mend()
}

// FaultConfig is what the contract on faults needs. What is nil is left out.
type FaultConfig struct {
	Config
	// Wire is the way that the provider goes.
	Wire Wire
	// Made says whether a request of this kind is the one that makes an instance.
	Made func(kind string) bool
	// Kill kills the process that the provider opened last is in.
	Kill func(t *testing.T)
	// Quota has the place give no instance any more, until free is called. The provider's error has these words in it.
	Quota func(t *testing.T) (words string, free func())
	// Stick has the place keep the instance whatever is asked, until free is called.
	Stick func(t *testing.T, id provider.InstanceID) (free func())
}

// Faults runs the contract on what goes wrong. Nothing starts twice, nothing is forgotten, and nothing that is not known is taken for known.
func Faults(t *testing.T, c FaultConfig) {
	var tests []test
	add := func(has bool, name string, run func(*world, FaultConfig)) {
		if has {
			tests = append(tests, test{name, func(w *world) { run(w, c) }})
		}
	}
	for _, h := range []Harm{{Fault: Refuse}, {Fault: Cut}, {Fault: Lose, Changes: true}, {Fault: Twice, Changes: true}, {Fault: Half}} {
		add(c.Wire != nil, "when each kind of request is once "+string(h.Fault), func(w *world, c FaultConfig) { once(w, c, h) })
	}
	for _, f := range []Fault{Refuse, Cut, Nonsense} {
		add(c.Wire != nil, "when every request is "+string(f), func(w *world, c FaultConfig) { outage(w, c, f) })
	}
	add(c.Wire != nil, "an answer comes when nobody waits any more", late)
	add(c.Quota != nil, "a quota is used up", quota)
	add(c.Kill != nil, "its process is killed in the middle of a start", killed)
	add(c.Stick != nil, "one of two does not stop", stuck)
	runAll(t, c.Config, tests)
}

// persist calls f as a leader does, as long as it says that it may be called later. Anything else ends the test.
func (w *world) persist(what string, f func() error) {
	w.Helper()
	var last error
	for end := time.Now().Add(w.c.Patience); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if !errors.Is(err, provider.ErrTransient) || errors.Is(err, provider.ErrRefused) {
			w.Fatalf("%s: %v; want an error that wraps ErrTransient", what, err)
		}
		if last = err; time.Now().After(end) {
			w.Fatalf("%s in vain, at last: %v", what, last)
		}
	}
}

func (w *world) persistentStart(machine string) provider.Instance {
	w.Helper()
	var in provider.Instance
	w.persist("start machine "+machine, func() (err error) {
		in, err = w.p.Start(w.Context(), w.request(w.controllerA, modelA, machine))
		return err
	})
	return in
}

// only checks that these are what there is.
func (w *world) only(ids ...provider.InstanceID) {
	w.Helper()
	slices.Sort(ids)
	if got := w.ids(w.controllerA); !slices.Equal(got, ids) {
		w.Errorf("there are %v, want %v", got, ids)
	}
}

func once(w *world, c FaultConfig, h Harm) {
	c.Wire.Do(h)
	defer c.Wire.Mend()
	in := w.persistentStart("0")
	w.persist("list", func() error { _, err := w.p.List(w.Context(), w.controllerA); return err })
	w.persist("list", func() error { _, err := w.p.List(w.Context(), w.controllerA); return err })
	w.only(in.ID)
	w.persist("stop", func() error { return w.p.Stop(w.Context(), in.ID) })
	c.Wire.Mend()
	w.await("it gone", func() bool { return len(w.ids(w.controllerA)) == 0 })
}

func outage(w *world, c FaultConfig, f Fault) {
	in := w.running(w.controllerA, w.start(w.controllerA, modelA, "0").ID)
	c.Wire.Do(Harm{Fault: f, Always: true})
	defer c.Wire.Mend()
	var all []provider.Instance
	var started, listed, stopped error
	var calls sync.WaitGroup
	calls.Go(func() { _, started = w.p.Start(w.Context(), w.request(w.controllerA, modelA, "1")) })
	calls.Go(func() { all, listed = w.p.List(w.Context(), w.controllerA) })
	calls.Go(func() { stopped = w.p.Stop(w.Context(), in.ID) })
	calls.Wait()
	for what, err := range map[string]error{"start": started, "list": listed, "stop": stopped} {
		if !errors.Is(err, provider.ErrTransient) || errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrNotFound) {
			w.Errorf("%s: %v; want an error that wraps ErrTransient alone", what, err)
		}
	}
	if len(all) > 0 {
		w.Errorf("it listed %v", all)
	}
	c.Wire.Mend()
	w.running(w.controllerA, in.ID)
	other := w.persistentStart("1")
	w.only(in.ID, other.ID)
}

// late lets the caller give up while what he has asked for happens.
func late(w *world, c FaultConfig) {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	var given time.Time
	c.Wire.Do(Harm{Fault: Late, Only: c.Made, Call: func() { given = time.Now(); cancel() }})
	defer c.Wire.Mend()
	if in, err := w.p.Start(ctx, w.request(w.controllerA, modelA, "0")); err == nil || errors.Is(err, provider.ErrRefused) {
		w.Errorf("started %+v, %v although nothing has answered", in, err)
	}
	if took := time.Since(given); took > patienceOfOne {
		w.Errorf("it returned %s after it was given up", took)
	}
	in := w.persistentStart("0") // the first one's answer is still on its way
	w.only(in.ID)
	c.Wire.Mend()
	if again := w.persistentStart("0"); again.ID != in.ID {
		w.Errorf("started %s, then %s", in.ID, again.ID)
	}
	w.only(in.ID)
}

// patienceOfOne is how long a call may take to end when its caller has given it up.
const patienceOfOne = 10 * time.Second

func quota(w *world, c FaultConfig) {
	words, free := c.Quota(w.T)
	defer free()
	for range 2 {
		in, err := w.p.Start(w.Context(), w.request(w.controllerA, modelA, "0"))
		if !errors.Is(err, provider.ErrTransient) || errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), words) {
			w.Errorf("started %+v, %v; want an error that says %q and wraps ErrTransient", in, err, words)
		}
	}
	w.only()
	free()
	in := w.persistentStart("0")
	w.running(w.controllerA, in.ID)
	w.only(in.ID)
}

func killed(w *world, c FaultConfig) {
	for _, machine := range []string{"0", "1"} {
		h := Harm{Fault: Call, Changes: true} // at the first thing that changes, and then at the one that makes the instance
		if machine == "1" {
			h.Only = c.Made
		}
		dead := make(chan struct{})
		h.Call = sync.OnceFunc(func() { close(dead); c.Kill(w.T) })
		c.Wire.Do(h)
		w.await("its end", func() bool {
			if in, err := w.p.Start(w.Context(), w.request(w.controllerA, modelA, machine)); !errors.Is(err, provider.ErrTransient) {
				w.Fatalf("started %+v, %v when its process was killed; want an error that wraps ErrTransient", in, err)
			}
			select {
			case <-dead:
				return true
			default: // it has not been started again yet
				return false
			}
		})
		c.Wire.Mend()
	}
	a, b := w.persistentStart("0"), w.persistentStart("1")
	w.only(a.ID, b.ID)
}

func stuck(w *world, c FaultConfig) {
	a, b := w.start(w.controllerA, modelA, "0"), w.start(w.controllerA, modelA, "1")
	w.running(w.controllerA, a.ID)
	free := c.Stick(w.T, a.ID)
	defer free()
	names := func(err error, id provider.InstanceID) bool {
		return regexp.MustCompile(`\b` + regexp.QuoteMeta(string(id)) + `\b`).MatchString(err.Error())
	}
	if err := w.p.Stop(w.Context(), a.ID, b.ID); err == nil || !names(err, a.ID) || names(err, b.ID) {
		w.Errorf("one of them does not stop: %v; want an error that names %s, and not %s", err, a.ID, b.ID)
	}
	w.await("the other one gone", func() bool { return !slices.Contains(w.ids(w.controllerA), b.ID) })
	w.only(a.ID)
	free()
	w.persist("stop", func() error { return w.p.Stop(w.Context(), a.ID, b.ID) })
	w.await("both gone", func() bool { return len(w.ids(w.controllerA)) == 0 })
}
