package plan

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// away has the agent away for so long; the provider was asked, and missed the instance for the first time, so long ago. Zero: not at all,
// but for what it was asked just now, which Absence.Seen has noted.
func away(since, looked, missed time.Duration) func(*Machine) {
	return func(m *Machine) {
		m.Healing = state.ModelConfig{}.Healing()
		m.Absence = Absence{Since: now.Add(-since), Looked: now.Add(-looked), Missed: now.Add(-missed)}
		if looked < 0 {
			m.Absence.Looked = time.Time{}
		}
		if missed < 0 {
			m.Absence.Missed = time.Time{}
		}
	}
}

func stopped(m *Machine) { runs(m); m.Instance.State = provider.Stopped; m.Instance.Since = now }

// again has the instance started again so often in a row, the last time so long ago.
func again(times int, last time.Duration) func(*Machine) {
	return func(m *Machine) { m.Instance.Restarts, m.Instance.Restarted = times, now.Add(-last) }
}

func TestHealing(t *testing.T) {
	in := provider.Instance{ID: "i-1", State: provider.Running, Addresses: []string{"127.0.0.2"}}
	halted := in
	halted.State = provider.Stopped
	asked := func(in ...provider.Instance) Sight { return Sight{Asked: true, At: now, Instances: in} }
	never := func(m *Machine) { m.Healing.Never = true }
	failed := func(m *Machine) { m.Instance.Failures, m.Instance.Retry = 1, now.Add(time.Second) }
	const s = time.Second
	for _, test := range []struct {
		about string
		m     Machine
		seen  Sight
		want  Action
	}{
		{"the agent is there", machine("0", runs), Sight{}, Nothing{}},
		{"the agent is away since just now", machine("0", runs, away(0, -1, -1)), Sight{}, Wait{now.Add(15 * s)}},
		{"the agent is away for the grace", machine("0", runs, away(15*s, -1, -1)), Sight{}, Look{}},
		{"the agent is away, and nobody answers", machine("0", runs, away(15*s, -1, -1)), Sight{Failed: true}, Wait{now.Add(lookAgain)}},
		{"the agent is away, and the instance runs", machine("0", runs, away(15*s, 0, -1)), asked(in), Wait{now.Add(15 * s)}},
		{"the agent stays away, and the instance runs", machine("0", runs, away(time.Minute, 0, -1)), asked(in), Wait{now.Add(time.Minute)}},
		{"the agent is away for a day, and the instance runs", machine("0", runs, away(24*time.Hour, 0, -1)), asked(in), Wait{now.Add(mostLook)}},
		{"missed once", machine("0", runs, away(time.Minute, 3*s, 3*s)), Sight{}, Wait{now.Add(7 * s)}},
		{"missed once, a while ago", machine("0", runs, away(time.Minute, 10*s, 10*s)), Sight{}, Look{}},
		{"missed, and the next listing fails", machine("0", runs, away(time.Minute, 10*s, 10*s)), Sight{Failed: true}, Wait{now.Add(lookAgain)}},

		{"it has stopped", machine("0", runs, away(15*s, 0, -1)), asked(halted), Adopt{halted}},
		{"it has stopped, and the agent's session has not ended", machine("0", runs), asked(halted), Adopt{halted}},
		{"it is known to have stopped", machine("0", stopped, away(15*s, 0, -1)), asked(halted), Restart{1}},
		{"it is known to have stopped, from another leader", machine("0", stopped, away(0, -1, -1)), Sight{}, Restart{1}},
		{"it has stopped before it enrolled", machine("0", stopped, away(15*s, 0, -1)), asked(halted), Restart{1}},
		{"it has stopped, and the session has not ended", machine("0", stopped), asked(halted), Restart{1}},
		{"it is known to have stopped, and the agent is there", machine("0", stopped), Sight{}, Look{}},
		{"somebody has started it", machine("0", stopped, func(m *Machine) { m.Instance.Since = now.Add(-s) }), asked(in), Adopt{in}},
		{"it has stopped and the start has failed", machine("0", stopped, away(0, -1, -1), failed), Sight{}, Wait{now.Add(s)}},
		{"it has stopped again", machine("0", stopped, away(0, -1, -1), again(1, s)), Sight{}, Wait{now.Add(9 * s)}},
		{"it has stopped again, a while ago", machine("0", stopped, away(0, -1, -1), again(1, 10*s)), Sight{}, Restart{2}},
		{"it has stopped time and again", machine("0", stopped, away(0, -1, -1), again(30, s)), Sight{}, Wait{now.Add(10*time.Minute - s)}},
		{"it has stopped again after it had run for long", machine("0", stopped, away(0, -1, -1), again(30, time.Hour)), Sight{}, Restart{1}},
		{"it has stopped, and is to stay so", machine("0", stopped, away(0, -1, -1), never), Sight{}, Wait{now.Add(15 * s)}},
		{"it has stopped, is to stay so, and goes", machine("0", stopped, dying, never), Sight{}, Stop{[]provider.InstanceID{"i-1"}, false}},
		{"it has stopped and is the user's", machine("0", stopped, manual, away(time.Hour, -1, -1)), Sight{}, Nothing{}},
	} {
		if got := Provision(test.m, test.seen, now); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, want %#v", test.about, got, test.want)
		}
	}
}

func TestAbsence(t *testing.T) {
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	asked := func(s int, in ...provider.Instance) Sight { return Sight{Asked: true, At: at(s), Instances: in} }
	one := provider.Instance{ID: "i-1"}
	a := Absence{}.Noted(true, at(0))
	for i, test := range []struct{ got, want Absence }{
		{a, Absence{}},
		{a.Seen(asked(1), "i-1"), Absence{}},
		{a.Noted(false, at(2)), Absence{Since: at(2)}},
		{a.Noted(false, at(2)).Noted(false, at(3)), Absence{Since: at(2)}},
		{a.Noted(false, at(2)).Seen(Sight{Failed: true}, "i-1"), Absence{Since: at(2)}},
		{a.Noted(false, at(2)).Seen(asked(4, one), "i-1"), Absence{Since: at(2), Looked: at(4)}},
		{a.Noted(false, at(2)).Seen(asked(4), "i-1").Seen(asked(9), "i-1"), Absence{Since: at(2), Looked: at(9), Missed: at(4)}},
		{a.Noted(false, at(2)).Seen(asked(4), "i-1").Seen(asked(9, one), "i-1"), Absence{Since: at(2), Looked: at(9)}},
		{a.Noted(false, at(2)).Seen(asked(4), "i-1").Noted(true, at(5)), Absence{}},
	} {
		if test.got != test.want {
			t.Errorf("%d: got %+v, want %+v", i, test.got, test.want)
		}
	}
}

// TestHealingIsPatient: whatever an instance does that never runs for long, starts come less and less often and never stop coming; a
// provider is not asked in a rush; and whoever waits is told until when.
func TestHealingIsPatient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := machine("0", runs, func(m *Machine) { m.Healing = state.ModelConfig{}.Healing() })
		clock, runs := now, true
		var starts []time.Time
		looks, rounds := 0, 0
		for len(starts) < 12 {
			if rounds++; rounds > 1000 {
				t.Fatalf("after %d rounds there are %d starts", rounds, len(starts))
			}
			m.Absence = m.Absence.Noted(runs, clock)
			seen := Sight{}
			for more := true; more; {
				more = false
				switch a := Provision(m, seen, clock).(type) {
				case Look:
					looks++
					in := m.Instance.Instance
					in.State = provider.Stopped
					if runs {
						in.State = provider.Running
					}
					seen = Sight{Asked: true, At: clock.Add(time.Nanosecond), Instances: []provider.Instance{in}}
					m.Absence = m.Absence.Seen(seen, in.ID)
					more = true
				case Adopt:
					m.Instance.Instance, m.Instance.Since = a.Instance, seen.At
					more = true
				case Restart:
					starts = append(starts, clock)
					m.Instance = state.Instance{Instance: m.Instance.Instance, Since: clock, Restarts: a.Try, Restarted: clock}
					m.Instance.State, runs = provider.Running, true
				case Wait:
					if !a.Until.After(clock) {
						t.Fatalf("at %s it waits until %s", clock, a.Until)
					}
					clock = a.Until
				case Nothing: // it runs, and dies after a while
					clock = clock.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "seconds")) * time.Second)
					runs = false
				default:
					t.Fatalf("%#v", a)
				}
			}
		}
		for i := 1; i < len(starts); i++ {
			if gap, least := starts[i].Sub(starts[i-1]), min(10*time.Second<<(i-1), 10*time.Minute); gap < least {
				t.Fatalf("start %d comes %s after the one before, and not %s", i+1, gap, least)
			}
		}
		if looks > 2*len(starts) {
			t.Fatalf("the provider was asked %d times for %d starts", looks, len(starts))
		}
	})
}
