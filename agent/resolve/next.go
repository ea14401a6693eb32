package resolve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// Next returns what the unit does next. The order of the cases is the contract with charms.
// Whatever it waits for, it also waits for the moment when storage that has failed is tried again.
func Next(l Local, r Remote, now time.Time) Op {
	op := next(l, r, now)
	if w, ok := op.(Wait); ok {
		w.Until = sooner(w.Until, retryStorage(l, r, now))
		return w
	}
	return op
}

func next(l Local, r Remote, now time.Time) Op {
	dying := r.Life != state.Alive
	switch {
	case l.Phase == state.Gone, r.Life == state.Dead, dying && r.Force:
		return Leave{}
	case dying && (l.Phase == state.New || l.Phase == state.Unpacked):
		if op := letGo(l, r, now); op != nil {
			return op
		}
		return Leave{} // never installed, so there is nothing for the charm to undo
	case rebooting(l, r):
		return Reboot{}
	}
	if op := nextMount(l, r, now); op != nil {
		return op
	}
	switch {
	case len(r.Commands) > 0 && l.Phase != state.New: // before install too, between the hooks of a chain, and in error
		return RunCommand{r.Commands[0]}
	case l.Failed != nil:
		return nextFailed(l, r, now)
	case l.Phase == state.New, l.Phase == state.Unpacked && l.CharmRev != r.CharmRev:
		return Unpack{r.Charm, r.CharmRev}
	case l.Again != nil:
		return again(l, r)
	case l.Phase == state.Unpacked:
		if op := nextFirstStorage(l, r, now); op != nil {
			return op
		}
		return run(hooks.Install)

	// Nothing comes between the hooks of a chain.
	case l.Upgraded:
		return run(hooks.UpgradeCharm)
	case l.Queued != "":
		return run(hooks.Kind(l.Queued))

	case l.Phase == state.Started && r.Boot != "" && l.Boot != r.Boot: // the machine has been started again
		return run(hooks.Start)
	}
	if !dying {
		if op := nextEntry(l, r); op != nil {
			return op
		}
		if op := nextLeadership(l, r); op != nil {
			return op
		}
		if op := nextSecret(r, now); op != nil {
			return op
		}
	}
	if len(r.Tasks) > 0 {
		return RunTask{r.Tasks[0]}
	}
	if op := nextStorage(l, r, now); op != nil {
		return op
	}
	if dying {
		return nextLeaving(l, r, now)
	}
	return nextAlive(l, r, now)
}

func nextAlive(l Local, r Remote, now time.Time) Op {
	switch {
	case l.CharmRev != r.CharmRev:
		return Unpack{r.Charm, r.CharmRev}
	case l.Config != r.Config:
		return run(hooks.ConfigChanged)
	}
	if op := nextRelation(l, r); op != nil {
		return op
	}
	if !r.UpdateStatus.IsZero() && !now.Before(r.UpdateStatus) {
		return run(hooks.UpdateStatus)
	}
	return Wait{sooner(r.UpdateStatus, secretDue(r)), Idle}
}

// nextLeadership: the first term of a leader is told, and each write of another one. A unit that leads no more hears at
// once what its successors have set.
func nextLeadership(l Local, r Remote) Op {
	switch {
	case r.Term == "":
		if l.Phase == state.Installed && l.Config == "" {
			return Wait{Reason: "waiting for the election of a leader"} // its hooks come before the first config-changed
		}
	case r.Leader && l.Term != r.Term:
		return run(hooks.LeaderElected)
	case !r.Leader && l.LeaderSeen != r.LeaderSettings:
		return run(hooks.LeaderSettingsChanged)
	}
	return nil
}

// nextFailed: while a hook is failed, nothing runs but tasks, the hook again, and what may rescue it.
func nextFailed(l Local, r Remote, now time.Time) Op {
	h := failedHook(l)
	answered := r.Answer.Rev > l.Answer
	due := l.Failed.At.Add(backoff(l.Failed.Attempts))
	ends := r.Life != state.Alive && !r.Deadline.IsZero()
	switch {
	case moot(h, l, r):
		return Skip{h, Moot}
	case answered && r.Answer.Skip:
		return Skip{h, Resolved}
	case ends && late(r.End, now):
		return Skip{h, Late}
	case l.CharmRev != r.CharmRev:
		return Unpack{r.Charm, r.CharmRev}
	case answered, !r.NoRetry && !now.Before(due):
		return Run{h}
	case len(r.Tasks) > 0:
		return RunTask{r.Tasks[0]}
	}
	w := Wait{Reason: fmt.Sprintf("hook failed: %q", l.Failed.Name)}
	if !r.NoRetry {
		w.Until = due
		w.Reason += ", runs again at " + clock(due)
	}
	if ends {
		if w.Until.IsZero() || r.Deadline.Before(w.Until) {
			w.Until = r.Deadline
		}
		w.Reason += ", is left behind at " + clock(r.Deadline)
	}
	return w
}

// moot says whether the failed hook can no longer be run in its own context.
func moot(h hooks.Hook, l Local, r Remote) bool {
	if h.Endpoint != "" {
		_, wanted := r.Relations[h.Relation]
		return !wanted
	}
	switch h.Kind {
	case hooks.StorageAttached:
		return leaves(r, h.Storage)
	case hooks.StorageDetaching:
		_, wanted := r.Storage[h.Storage]
		return !wanted
	case hooks.SecretChanged, hooks.SecretRotate, hooks.SecretExpired, hooks.SecretRemove:
		return mootSecret(h, r)
	}
	return h.Kind == hooks.LeaderElected && !r.Leader
}

// backoff is how long a hook that has failed n times waits: 5 s, doubling, at most 5 min.
func backoff(n int) time.Duration { return min(5*time.Second<<max(0, min(n-1, 6)), 5*time.Minute) }

// nextLeaving: every relation is broken and the peers depart, stop, remove, and the principal goes after its subordinates.
func nextLeaving(l Local, r Remote, now time.Time) Op {
	if op := nextRelation(l, r); op != nil {
		return op
	}
	switch l.Phase {
	case state.Started:
		return run(hooks.Stop)
	case state.Installed, state.Stopped:
		return run(hooks.Remove)
	}
	for _, id := range order(l, r) { // what remains is peers
		if mine, ok := l.Relations[id]; ok {
			return Exit{id, mine.Endpoint}
		}
	}
	if op := letGo(l, r, now); op != nil {
		return op
	}
	if len(r.Subordinates) == 0 || late(r.End, now) {
		return Leave{}
	}
	names := make([]string, len(r.Subordinates))
	for i, u := range slices.Sorted(slices.Values(r.Subordinates)) {
		names[i] = string(u)
	}
	w := Wait{r.Deadline, "waiting for subordinate " + strings.Join(names, ", ") + " to go"}
	if !r.Deadline.IsZero() {
		w.Reason += ", until " + clock(r.Deadline)
	}
	return w
}

func run(k hooks.Kind) Op { return Run{hooks.Hook{Kind: k}} }

// failedHook is the hook of l.Failed.
func failedHook(l Local) hooks.Hook {
	var h hooks.Hook
	if err := json.Unmarshal(l.Failed.Hook, &h); err != nil {
		return hooks.Hook{Kind: hooks.Kind(l.Failed.Name)} // no code of ours has written this
	}
	return h
}
