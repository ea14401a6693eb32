package resolve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// What is on a unit's machine, in its random life: storage, commands that somebody calls there, and that it starts again.

var someStorage = []state.StorageID{"data/0", "data/1", "logs/2"}

// changeStorage makes one change of the storage that the unit is to have.
func (w *life) changeStorage() {
	id := someStorage[w.draw(len(someStorage))]
	s, wanted := w.r.Storage[id]
	switch w.draw(6) {
	case 0, 1:
		if !wanted {
			w.r.Storage[id] = Storage{Kind: state.Filesystem, Location: "/srv/" + string(id), Ready: !w.chance(3)}
		}
	case 2:
		if wanted {
			s.Ready = true
			w.r.Storage[id] = s
		}
	case 3, 4:
		if wanted && s.Life == state.Alive {
			s.End = state.End{Life: state.Dying, Deadline: w.now.Add(time.Duration(w.draw(600)) * time.Second), Force: w.chance(4)}
			w.r.Storage[id] = s
		}
	default:
		if wanted && s.Life != state.Alive { // the controllers wait no longer, or it has left
			delete(w.r.Storage, id)
		}
	}
}

// changeMachine is somebody who calls a command on the machine, or starts the machine again.
func (w *life) changeMachine() {
	if w.chance(3) {
		w.startAgain()
		return
	}
	w.r.Commands = append(w.r.Commands, int(w.next()))
}

// startAgain is the machine that starts again, and the agent with it.
func (w *life) startAgain() {
	w.r.Boot = fmt.Sprintf("b%d", w.next())
	clear(w.mounted)
}

// cut is a hook that asks for the machine to start again at once: it is killed.
func (w *life) cut(r Remote, op Run) Op {
	if err := w.observer.cut(r, op); err != nil {
		w.t.Fatal(err)
	}
	w.committed(Cut(w.local, r, op.Hook))
	return op
}

// place is what becomes of a Mount or an Unmount, and whether it has failed.
func (w *life) place(r Remote, op Op) (Local, bool) {
	if w.broken == "place" || w.faults && w.chance(4) {
		return Misplaced(w.local, r, op, w.now, "no such device"), true
	}
	switch op := op.(type) {
	case Mount:
		w.mounted[op.Storage] = true
	case Unmount:
		delete(w.mounted, op.Storage)
	}
	return Done(w.local, r, op), false
}

// calmMachine: the storage that is wanted can be had, and nobody calls anything any more.
func (w *life) calmMachine() {
	for id, s := range w.r.Storage {
		s.Ready = true
		w.r.Storage[id] = s
	}
}

// machineAtRest is what is wrong with the machine of a unit that has settled.
func (w *life) machineAtRest(r Remote) error {
	for id, s := range r.Storage {
		held, has := w.local.Storage[id]
		switch {
		case s.Life != state.Alive && has:
			return fmt.Errorf("it still has %s: %+v", id, held)
		case s.Life == state.Alive && slices.Contains(r.Stores, id.Name()) && (!held.Attached || !w.observer.attached[id] || !w.mounted[id]):
			return fmt.Errorf("it has not heard of %s, or does not have it: %+v", id, held)
		}
	}
	for id := range w.local.Storage {
		if _, wanted := r.Storage[id]; !wanted {
			return fmt.Errorf("it still has %s, which is no more", id)
		}
	}
	switch {
	case len(r.Commands) > 0:
		return fmt.Errorf("commands %v wait", r.Commands)
	case w.local.Again != nil:
		return fmt.Errorf("a hook that was cut has not run again")
	case w.observer.boot != r.Boot:
		return fmt.Errorf("start has not run since the machine has started again")
	}
	return nil
}

// onMachine is an observer's record of the machine.
type onMachine struct {
	attached map[state.StorageID]bool // that the charm has been told of
	tasks    map[state.TaskID]bool    // that have run
	commands map[int]bool
	boot     string // when start ran last
	asked    string // the boot in which a hook has asked for another one
	again    string // the hook that was cut then
}

func newOnMachine() onMachine {
	return onMachine{attached: map[state.StorageID]bool{}, tasks: map[state.TaskID]bool{}, commands: map[int]bool{}}
}

// machine holds every op to what it may do on the machine, and remembers what it does.
func (o *observer) machine(r Remote, op Op, failed bool) error {
	switch op.(type) {
	case Leave, Wait, Reboot:
		return nil
	case Unmount:
		if o.asked != "" && o.asked == r.Boot && r.Life != state.Alive && !o.installed {
			return nil // it goes as it came
		}
	}
	if o.asked != "" && o.asked == r.Boot {
		return fmt.Errorf("the machine is to start again first")
	}
	switch op := op.(type) {
	case Mount:
		if leaves(r, op.Storage) || !r.Storage[op.Storage].Ready || r.Storage[op.Storage].Mounted {
			return fmt.Errorf("mount of what leaves, is not there, or is mounted")
		}
		return nil
	case Unmount:
		_, wanted := r.Storage[op.Storage]
		switch {
		case !leaves(r, op.Storage):
			return fmt.Errorf("unmount of what stays")
		case o.attached[op.Storage] && wanted && !o.unheard(r):
			return fmt.Errorf("unmount before detaching")
		case wanted && r.Life != state.Alive && o.installed && !o.removed:
			return fmt.Errorf("unmount before remove")
		}
		if !failed {
			delete(o.attached, op.Storage)
		}
		return nil
	case RunTask:
		switch {
		case o.tasks[op.Task] || len(r.Tasks) == 0 || op.Task != r.Tasks[0]:
			return fmt.Errorf("a task that has run, or out of order")
		case !o.installed && o.failed == "":
			return fmt.Errorf("a task before install")
		}
		o.tasks[op.Task] = true
	case RunCommand:
		if o.commands[op.Command] || len(r.Commands) == 0 || op.Command != r.Commands[0] {
			return fmt.Errorf("a command that has run, or out of order")
		}
		o.commands[op.Command] = true
	}
	for id := range o.attached {
		if s := r.Storage[id]; !leaves(r, id) && !s.Mounted {
			return fmt.Errorf("%s is not there, which the charm was told of", id)
		}
	}
	return nil
}

// cut is told of a hook that was killed because it asked for the machine to start again.
func (o *observer) cut(r Remote, op Run) error {
	o.log = append(o.log, op.String()+" CUT")
	err := o.machine(r, op, true)
	if err == nil {
		err = o.allowed(r, op.Hook)
	}
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, strings.Join(o.log, "\n"))
	}
	o.failed, o.again, o.asked = "", Describe(op.Hook), r.Boot
	return nil
}

// unheard says whether the unit goes without having been installed, or by force: then its charm is told nothing more.
func (o *observer) unheard(r Remote) bool { return r.Life != state.Alive && (!o.installed || r.Force) }

// bootHook holds a hook that has not failed before to what the machine's boot asks for.
func (o *observer) bootHook(r Remote, h hooks.Hook) error {
	switch {
	case o.again != "" && o.again != Describe(h):
		return fmt.Errorf("another hook before %s, which was cut", o.again)
	case o.again != "", !o.started || o.stopped || r.Boot == "" || r.Boot == o.boot || o.swapped || o.chained():
		return nil
	case h.Kind != hooks.Start:
		return fmt.Errorf("no start first, though the machine has started again")
	}
	return nil
}

// storage holds a storage hook to what there is to tell.
func (o *observer) storage(r Remote, h hooks.Hook) error {
	s, wanted := r.Storage[h.Storage]
	switch {
	case h.StorageKind == "" || h.Location == "":
		return fmt.Errorf("neither what nor where")
	case h.Kind == hooks.StorageAttached && (o.attached[h.Storage] || leaves(r, h.Storage)):
		return fmt.Errorf("attached twice, or what leaves")
	case h.Kind == hooks.StorageAttached && (!s.Mounted || !slices.Contains(r.Stores, h.Storage.Name())):
		return fmt.Errorf("attached and not there, or not the charm's")
	case h.Kind == hooks.StorageDetaching && (!o.attached[h.Storage] || !wanted || !leaves(r, h.Storage)):
		return fmt.Errorf("detaching of what stays, or was never told of, or is no more")
	}
	return nil
}

// allStored: install comes when the charm has been told of all its storage, stop when it has been told that all of it goes.
func (o *observer) allStored(r Remote, h hooks.Hook) error {
	for id := range maps.Keys(r.Storage) {
		switch {
		case h.Kind == hooks.Install && !leaves(r, id) && slices.Contains(r.Stores, id.Name()) && !o.attached[id]:
			return fmt.Errorf("install before %s was attached", id)
		case (h.Kind == hooks.Stop || h.Kind == hooks.Remove) && o.attached[id]:
			return fmt.Errorf("%s before %s was detached", h.Kind, id)
		}
	}
	return nil
}

// applyMachine is the hook done, or skipped.
func (o *observer) applyMachine(r Remote, h hooks.Hook) {
	o.again = ""
	switch h.Kind {
	case hooks.Start:
		o.boot = r.Boot
	case hooks.StorageAttached:
		if !leaves(r, h.Storage) {
			o.attached[h.Storage] = true
		}
	case hooks.StorageDetaching:
		delete(o.attached, h.Storage)
	}
}

// TestObserverOfTheMachine shows the observer lives on machines that must not be, and it must say so of each.
func TestObserverOfTheMachine(t *testing.T) {
	r := Remote{Unit: "web/0", Leader: true, Term: "n1", Boot: "b1", Stores: []string{"data"}, Tasks: []state.TaskID{1, 2}, Commands: []int{1, 2},
		Storage: map[state.StorageID]Storage{"data/0": {Kind: state.Filesystem, Location: "/srv", Ready: true, Mounted: true}}}
	with := func(change func(*Remote, *Storage)) Remote {
		r, s := r, r.Storage["data/0"]
		change(&r, &s)
		r.Storage = map[state.StorageID]Storage{"data/0": s}
		return r
	}
	unmounted := with(func(_ *Remote, s *Storage) { s.Mounted = false })
	leaving := with(func(_ *Remote, s *Storage) { s.Life = state.Dying })
	going := with(func(r *Remote, _ *Storage) { r.Life = state.Dying })
	again := with(func(r *Remote, _ *Storage) { r.Boot = "b2" })
	attached, detaching := Run{storageHook(hooks.StorageAttached, "data/0", state.Held{Kind: state.Filesystem, Location: "/srv"})},
		Run{storageHook(hooks.StorageDetaching, "data/0", state.Held{Kind: state.Filesystem, Location: "/srv"})}
	told := []Op{Unpack{}, attached}
	deployed := append(slices.Clone(told), run(hooks.Install), run(hooks.LeaderElected), run(hooks.ConfigChanged), run(hooks.Start))
	for _, c := range []struct {
		why  string
		life []Op
		r    Remote // for the last op
		then Op
		odd  func(*observer) // before it
	}{
		{"attached and not there", told[:1], unmounted, attached, nil},
		{"attached twice", deployed, r, attached, nil},
		{"attached of what leaves", told[:1], leaving, attached, nil},
		{"install before attached", told[:1], r, run(hooks.Install), nil},
		{"detaching of what stays", deployed, r, detaching, nil},
		{"stop before detaching", deployed, going, run(hooks.Stop), nil},
		{"unmount before detaching", deployed, leaving, Unmount{Storage: "data/0"}, nil},
		{"unmount of what stays", deployed, r, Unmount{Storage: "data/0"}, nil},
		{"unmount before remove", append(slices.Clone(deployed), detaching), going, Unmount{Storage: "data/0"}, nil},
		{"mount of what leaves", told[:1], leaving, Mount{"data/0"}, nil},
		{"a hook beside storage that is not there", deployed, unmounted, run(hooks.ConfigChanged), nil},
		{"a task beside storage that is not there", deployed, unmounted, RunTask{1}, nil},
		{"a task before install", told, r, RunTask{1}, nil},
		{"a task out of order", deployed, r, RunTask{2}, nil},
		{"a task twice", append(slices.Clone(deployed), RunTask{1}), r, RunTask{1}, nil},
		{"a command out of order", deployed, r, RunCommand{2}, nil},
		{"a command twice", append(slices.Clone(deployed), RunCommand{1}), r, RunCommand{1}, nil},
		{"a hook before the machine has started again", deployed, r, run(hooks.ConfigChanged), func(o *observer) { o.asked = "b1" }},
		{"a task before the machine has started again", deployed, r, RunTask{1}, func(o *observer) { o.asked = "b1" }},
		{"no start after the machine has started again", deployed, again, run(hooks.ConfigChanged), nil},
		{"a cut hook is forgotten", deployed, again, run(hooks.Start), func(o *observer) { o.again = "config-changed" }},
	} {
		o := newObserver()
		for i, op := range c.life {
			r := r
			if op.String() == detaching.String() {
				r = c.r
			}
			if err := o.see(r, op, false); err != nil {
				t.Errorf("%s: before it: %v, op %d", c.why, err, i)
			}
		}
		if c.odd != nil {
			c.odd(o)
		}
		if o.see(c.r, c.then, false) == nil {
			t.Errorf("the observer sees nothing wrong with %s", c.why)
		}
	}
}
