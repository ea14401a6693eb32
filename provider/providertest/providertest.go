// Package providertest holds every Provider to one contract.
package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
)

// Config is what the contract needs of a kind of provider.
type Config struct {
	// Open opens the provider. Every call in one test must lead to the same instances, as after a restart of the controller.
	// One that is an io.Closer is closed at the end of the test.
	Open func(t *testing.T) provider.Provider
	// Init is what a machine is started with: enough to run, and no more.
	Init func(machine string) provider.Init
	// Patience is how long a machine may take to run, and to be gone; zero means a minute.
	Patience time.Duration
	// Parallel has the tests run at the same time. Each has controllers of its own.
	Parallel bool
	// Halt has an instance stop in a way that is not the provider's: as a crash does, or somebody at its console.
	// It need not wait until it has stopped.
	Halt func(t *testing.T, id provider.InstanceID)
}

// The models that the contract uses. The second one holds the same machine ids.
const (
	modelA = "d0000000-0000-4000-8000-00000000000a"
	modelB = "d0000000-0000-4000-8000-00000000000b"
)

// Run runs the contract. What it starts it stops.
func Run(t *testing.T, c Config) {
	runAll(t, c, []test{
		{"a machine starts, runs and is listed", started},
		{"the same machine never starts twice", startedTwice},
		{"the same machine never starts twice at once", startedAtOnce},
		{"machines are apart", apart},
		{"models are apart", models},
		{"controllers are apart", controllers},
		{"stopping ends it, and again is no error", stopped},
		{"what is not there is no error to stop", stoppedUnknown},
		{"a new provider finds what the old one started", adopted},
		{"a machine that was stopped may be started again", again},
		{"a machine that has died is started again, as the same", revived},
		{"a machine that has been up gets no other instance", notReplaced},
		{"what cannot be had is refused", refused},
		{"a shell runs commands", shell},
		{"a volume is made once", volumeOnce},
		{"a volume is attached, detached and attached elsewhere", volumeMoves},
		{"a volume outlives its machine", volumeOutlives},
		{"a volume is deleted when nothing has it", volumeDeleted},
		{"volumes are apart", volumesApart},
		{"what has no volume is no error", volumeUnknown},
	})
}

// RunWithout runs what of the contract there is for a provider that makes no machines, because users have them already.
func RunWithout(t *testing.T, c Config) {
	runAll(t, c, []test{
		{"what cannot be had is refused", refused},
		{"a machine is refused, and again", func(w *world) {
			for range 2 {
				if in, err := w.p.Start(w.Context(), w.request(w.controllerA, modelA, "0")); !errors.Is(err, provider.ErrRefused) {
					w.Errorf("started %+v, %v; want an error that wraps ErrRefused", in, err)
				}
			}
			if ids := w.ids(w.controllerA); len(ids) != 0 {
				w.Errorf("refused, but there are %v", ids)
			}
		}},
		{"what is not there is no error to stop", func(w *world) {
			w.stop()
			w.stop("i-never-was")
			w.stop("i-never-was")
		}},
	})
}

type test struct {
	name string
	run  func(*world)
}

func runAll(t *testing.T, c Config, tests []test) {
	if c.Patience == 0 {
		c.Patience = time.Minute
	}
	for n, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if c.Parallel {
				t.Parallel()
			}
			w := &world{T: t, c: c}
			for i, to := range []*string{&w.controllerA, &w.controllerB, &w.controllerC} {
				*to = fmt.Sprintf("c0000000-0000-4000-8000-%08x%04x", n, i)
			}
			w.open()
			t.Cleanup(w.clean)
			test.run(w)
		})
	}
}

// A world is one test with the provider it is about. Its controllers hold the same machine ids.
type world struct {
	*testing.T
	c Config
	p provider.Provider

	controllerA, controllerB, controllerC string

	opened []provider.Provider
}

// open opens the provider again. What it was before stays open until the end.
func (w *world) open() provider.Provider {
	w.Helper()
	w.p = w.c.Open(w.T)
	w.opened = append(w.opened, w.p)
	return w.p
}

func (w *world) request(controller, model, machine string) provider.StartRequest {
	return provider.StartRequest{Controller: controller, Model: model, Machine: machine, Init: w.c.Init(machine)}
}

func (w *world) start(controller, model, machine string) provider.Instance {
	w.Helper()
	var in provider.Instance
	err := w.insist(func() (err error) {
		in, err = w.p.Start(w.Context(), w.request(controller, model, machine))
		return err
	})
	if err != nil {
		w.Fatalf("start machine %s: %v", machine, err)
	}
	if in.ID == "" || in.Model != model || in.Machine != machine {
		w.Fatalf("started %+v for machine %s of model %s", in, machine, model)
	}
	return in
}

func (w *world) list(controller string) []provider.Instance {
	w.Helper()
	var all []provider.Instance
	if err := w.insist(func() (err error) { all, err = w.p.List(w.Context(), controller); return err }); err != nil {
		w.Fatalf("list: %v", err)
	}
	return slices.DeleteFunc(all, func(in provider.Instance) bool { return in.State == provider.Gone })
}

func (w *world) ids(controller string) []provider.InstanceID {
	w.Helper()
	var out []provider.InstanceID
	for _, in := range w.list(controller) {
		out = append(out, in.ID)
	}
	slices.Sort(out)
	return out
}

// running waits until the instance runs and has an address.
func (w *world) running(controller string, id provider.InstanceID) provider.Instance {
	w.Helper()
	var last provider.Instance
	w.await("instance "+string(id)+" running", func() bool {
		for _, in := range w.list(controller) {
			if in.ID == id {
				last = in
				return in.State == provider.Running && len(in.Addresses) > 0
			}
		}
		return false
	})
	return last
}

func (w *world) await(what string, cond func() bool) {
	w.Helper()
	for end := time.Now().Add(w.c.Patience); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("waited in vain for %s", what)
		}
	}
}

func (w *world) stop(ids ...provider.InstanceID) {
	w.Helper()
	if err := w.insist(func() error { return w.p.Stop(w.Context(), ids...) }); err != nil {
		w.Fatalf("stop %v: %v", ids, err)
	}
}

// insist does what a leader does with an error that is to be tried again: on a machine with much to do there are some.
func (w *world) insist(f func() error) error {
	for end := time.Now().Add(w.c.Patience); ; time.Sleep(time.Second) {
		err := f()
		if !errors.Is(err, provider.ErrTransient) || time.Now().After(end) {
			return err
		}
		w.Log(err)
	}
}

func (w *world) clean() {
	ctx := context.Background()
	defer func() {
		for _, p := range w.opened {
			if c, ok := p.(io.Closer); ok {
				c.Close()
			}
		}
	}()
	for _, c := range []string{w.controllerA, w.controllerB} {
		w.cleanVolumes(ctx, c)
		var all []provider.Instance
		if err := w.insist(func() (err error) { all, err = w.p.List(ctx, c); return err }); err != nil {
			w.Errorf("list what is left: %v", err)
		}
		for _, in := range all {
			if err := w.insist(func() error { return w.p.Stop(ctx, in.ID) }); err != nil {
				w.Errorf("stop what is left: %v", err)
			}
		}
	}
}

func started(w *world) {
	in := w.start(w.controllerA, modelA, "0")
	got := w.running(w.controllerA, in.ID)
	if got.Model != modelA || got.Machine != "0" {
		w.Errorf("listed as %+v", got)
	}
}

func startedTwice(w *world) {
	in := w.start(w.controllerA, modelA, "0")
	w.running(w.controllerA, in.ID)
	if again := w.start(w.controllerA, modelA, "0"); again.ID != in.ID {
		w.Errorf("started %s, then %s for the same machine", in.ID, again.ID)
	}
	if ids := w.ids(w.controllerA); len(ids) != 1 {
		w.Errorf("there are %v", ids)
	}
}

func startedAtOnce(w *world) {
	const n = 8
	var wg sync.WaitGroup
	ids, errs := make([]provider.InstanceID, n), make([]error, n)
	first := w.p
	providers := []provider.Provider{first, w.open()} // two controllers at once, for the moment of a change of leader
	for i := range n {
		wg.Go(func() {
			in, err := providers[i%2].Start(w.Context(), w.request(w.controllerA, modelA, "0"))
			ids[i], errs[i] = in.ID, err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		w.Fatal(err)
	}
	slices.Sort(ids)
	if got := slices.Compact(ids); len(got) != 1 || !slices.Equal(w.ids(w.controllerA), got) {
		w.Errorf("started %v, there are %v", got, w.ids(w.controllerA))
	}
}

func apart(w *world) {
	a, b := w.start(w.controllerA, modelA, "0"), w.start(w.controllerA, modelA, "1")
	a, b = w.running(w.controllerA, a.ID), w.running(w.controllerA, b.ID)
	if a.ID == b.ID || a.Addresses[0] == b.Addresses[0] {
		w.Errorf("%+v and %+v are not apart", a, b)
	}
	w.stop(a.ID)
	w.running(w.controllerA, b.ID)
	if ids := w.ids(w.controllerA); !slices.Equal(ids, []provider.InstanceID{b.ID}) {
		w.Errorf("with the other one stopped there are %v", ids)
	}
}

func models(w *world) {
	a, b := w.start(w.controllerA, modelA, "0"), w.start(w.controllerA, modelB, "0")
	if a.ID == b.ID {
		w.Fatalf("%s serves two models", a.ID)
	}
	if ids := w.ids(w.controllerA); len(ids) != 2 {
		w.Errorf("there are %v", ids)
	}
}

func controllers(w *world) {
	a, b := w.start(w.controllerA, modelA, "0"), w.start(w.controllerB, modelA, "0")
	if ids := w.ids(w.controllerA); !slices.Equal(ids, []provider.InstanceID{a.ID}) {
		w.Errorf("one controller has %v", ids)
	}
	if ids := w.ids(w.controllerB); !slices.Equal(ids, []provider.InstanceID{b.ID}) {
		w.Errorf("the other controller has %v", ids)
	}
	if ids := w.ids(w.controllerC); len(ids) != 0 {
		w.Errorf("a third controller has %v", ids)
	}
}

func stopped(w *world) {
	a, b := w.start(w.controllerA, modelA, "0"), w.start(w.controllerA, modelA, "1")
	w.stop(a.ID, b.ID)
	w.await("both gone", func() bool { return len(w.ids(w.controllerA)) == 0 })
	w.stop(a.ID, b.ID)
}

func stoppedUnknown(w *world) {
	w.stop()
	w.stop("i-never-was")
	in := w.start(w.controllerA, modelA, "0")
	w.stop("i-never-was", in.ID)
	w.await("the known one gone", func() bool { return len(w.ids(w.controllerA)) == 0 })
}

func adopted(w *world) {
	in := w.start(w.controllerA, modelA, "0")
	before := w.running(w.controllerA, in.ID)
	w.open()
	after := w.running(w.controllerA, in.ID)
	if !slices.Equal(before.Addresses, after.Addresses) {
		w.Errorf("the addresses were %v and are %v", before.Addresses, after.Addresses)
	}
	if again := w.start(w.controllerA, modelA, "0"); again.ID != in.ID {
		w.Errorf("started %s, adopted as %s", in.ID, again.ID)
	}
	w.open()
	w.stop(in.ID)
	w.await("the adopted one gone", func() bool { return len(w.ids(w.controllerA)) == 0 })
}

func again(w *world) {
	in := w.start(w.controllerA, modelA, "0")
	w.stop(in.ID)
	w.await("it gone", func() bool { return len(w.ids(w.controllerA)) == 0 })
	in = w.start(w.controllerA, modelA, "0")
	w.running(w.controllerA, in.ID)
}

func revived(w *world) {
	if w.c.Halt == nil {
		w.Fatal("the test has no Halt, and the contract says what becomes of an instance that was stopped from outside")
	}
	in, other := w.start(w.controllerA, modelA, "0"), w.start(w.controllerA, modelA, "1")
	before := w.running(w.controllerA, in.ID)
	other = w.running(w.controllerA, other.ID)
	for range 2 { // it may die again
		w.c.Halt(w.T, in.ID)
		w.await("it stopped, and still there", func() bool {
			all := w.list(w.controllerA) // twice: to list it must not start it
			all = append(all, w.list(w.controllerA)...)
			all = slices.DeleteFunc(all, func(i provider.Instance) bool { return i.ID != in.ID })
			return len(all) == 2 && all[0].State == provider.Stopped && all[1].State == provider.Stopped
		})
		w.revive(in.ID)
		if after := w.running(w.controllerA, in.ID); !slices.Equal(before.Addresses, after.Addresses) {
			w.Logf("the addresses were %v and are %v", before.Addresses, after.Addresses) // a cloud may give others
		}
	}
	w.revive(in.ID) // it runs: nothing to do
	if ids := w.ids(w.controllerA); len(ids) != 2 {
		w.Errorf("there are %v", ids)
	}
	if now := w.running(w.controllerA, other.ID); !slices.Equal(now.Addresses, other.Addresses) {
		w.Errorf("the other machine was %+v and is %+v", other, now)
	}
	w.stop(in.ID)
	w.await("the revived one gone", func() bool { return len(w.ids(w.controllerA)) == 1 })
}

// revive starts machine 0 again, as the leader does: while its end is still under way the provider says to try later.
func (w *world) revive(id provider.InstanceID) {
	w.Helper()
	w.await("instance "+string(id)+" started again", func() bool {
		in, err := w.p.Start(w.Context(), w.request(w.controllerA, modelA, "0"))
		if errors.Is(err, provider.ErrTransient) {
			return false
		}
		if err != nil {
			w.Fatalf("start the machine again: %v", err)
		}
		if in.ID != id || in.State == provider.Stopped {
			w.Fatalf("instance %s was started again as %+v", id, in)
		}
		return true
	})
}

func notReplaced(w *world) {
	req := w.request(w.controllerA, modelA, "0")
	req.Enrolled = true
	if in, err := w.p.Start(w.Context(), req); !errors.Is(err, provider.ErrNotFound) {
		w.Errorf("of a machine that has been up there is no instance: %+v, %v; want an error that wraps ErrNotFound", in, err)
	}
	in := w.start(w.controllerA, modelA, "0")
	if again, err := w.p.Start(w.Context(), req); err != nil || again.ID != in.ID {
		w.Errorf("of a machine that has been up there is %s: %+v, %v", in.ID, again, err)
	}
}

func refused(w *world) {
	req := w.request(w.controllerA, modelA, "0")
	arch := "pdp11"
	req.Constraints.Arch = &arch
	if in, err := w.p.Start(w.Context(), req); !errors.Is(err, provider.ErrRefused) {
		w.Errorf("asked for a pdp11, got %+v and %v; want an error that wraps ErrRefused", in, err)
	}
	if ids := w.ids(w.controllerA); len(ids) != 0 {
		w.Errorf("refused, but there are %v", ids)
	}
}

func shell(w *world) {
	s, ok := w.p.(provider.Sheller)
	if !ok {
		w.Skip("this provider has no shell")
	}
	if _, err := s.Shell(w.Context(), "i-never-was"); !errors.Is(err, provider.ErrNotFound) {
		w.Errorf("a shell on an unknown instance: %v; want an error that wraps ErrNotFound", err)
	}
	in := w.start(w.controllerA, modelA, "0")
	w.running(w.controllerA, in.ID)
	sh, err := s.Shell(w.Context(), in.ID)
	if err != nil {
		w.Fatal(err)
	}
	if sh.SSH {
		return // the way in is the machine's own sshd
	}
	cmd := exec.CommandContext(w.Context(), sh.Command[0], slices.Concat(sh.Command[1:], []string{"-c", "echo $((6*7))"})...)
	cmd.Dir, cmd.Env = sh.Dir, sh.Env
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "42\n" {
		w.Errorf("%v printed %q: %v", cmd.Args, out, err)
	}
}
