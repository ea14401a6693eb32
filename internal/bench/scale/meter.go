package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// A reading is all counters at one moment.
type reading struct {
	at         time.Time
	machines   tally
	zk         usage
	controller usage
	hosts      usage
	server     map[string]int
}

func (w *world) read(question string) (r reading, err error) {
	r.at = time.Now()
	if r.machines, err = w.ask(question); err != nil {
		return r, err
	}
	if r.zk, err = usageOf(int(w.zkPID.Load())); err != nil {
		return r, err
	}
	if r.controller, err = usageOf(w.controller.pid()); err != nil {
		return r, err
	}
	for _, h := range w.hosts {
		u, err := usageOf(h.pid())
		if err != nil {
			return r, err
		}
		r.hosts.cpu += u.cpu
		r.hosts.pss += u.pss
	}
	r.server, err = w.server()
	return r, err
}

// calm is how long nothing must happen until it is over.
const calm = 3 * time.Second

// quiet returns when no unit has stepped for a while and done says so, and when the last step was.
func (w *world) quiet(ctx context.Context, done func(tally) bool) (last time.Time, err error) {
	var before tally
	last = time.Now()
	for report := last; ; {
		t, err := w.ask("ask")
		if err != nil {
			return last, err
		}
		if t.Steps != before.Steps || t.Units != before.Units {
			last, before = time.Now(), t
		}
		if done(t) && time.Since(last) > calm {
			return last, nil
		}
		if time.Since(report) > 20*time.Second {
			report = time.Now()
			fmt.Fprintf(os.Stderr, "%s %d units, %d started, %d steps, %d hooks\n", report.Format(time.TimeOnly), t.Units, t.Started, t.Steps, t.Hooks)
		}
		if time.Since(last) > 5*time.Minute {
			return last, fmt.Errorf("nothing goes on: %+v", t)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return last, err
		}
	}
}

// A row is what one change took.
type row struct {
	what           string
	call, over     time.Duration // until the API had answered; until all was quiet
	woken          int
	hooks, in, out int64
	requests       int // to ZooKeeper, by all
	zk, controller time.Duration
	expired, begun int64
	notifications  int
}

// change does something to the environment and says what that took until all was quiet.
func (w *world) change(ctx context.Context, what string, do func() error) (r row, err error) {
	return w.changeUntil(ctx, what, func(tally) bool { return true }, do)
}

func (w *world) changeUntil(ctx context.Context, what string, done func(tally) bool, do func() error) (r row, err error) {
	a, err := w.read("forget")
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return r, fmt.Errorf("%s: %w", what, err)
	}
	r = row{what: what, call: time.Since(began)}
	last, err := w.quiet(ctx, done)
	if err != nil {
		return r, fmt.Errorf("%s: %w", what, err)
	}
	b, err := w.read("ask")
	if err != nil {
		return r, err
	}
	r.over = max(last.Sub(began), r.call)
	r.woken = b.machines.Woken
	r.hooks, r.in, r.out = b.machines.Hooks-a.machines.Hooks, b.machines.In-a.machines.In, b.machines.Out-a.machines.Out
	if b.zk.pid != a.zk.pid { // it has begun to count anew
		a.zk.cpu, a.server = 0, nil
	}
	if b.controller.pid != a.controller.pid {
		a.controller.cpu = 0
	}
	r.requests = b.server["zk_packets_received"] - a.server["zk_packets_received"]
	r.notifications = b.server["zk_packets_sent"] - a.server["zk_packets_sent"] - r.requests
	r.zk, r.controller = b.zk.cpu-a.zk.cpu, b.controller.cpu-a.controller.cpu
	r.expired, r.begun = b.machines.Lost-a.machines.Lost, b.machines.Failures-a.machines.Failures
	fmt.Fprintf(os.Stderr, "%s %+v\n", time.Now().Format(time.TimeOnly), r)
	return r, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func kib(n int64) string { return fmt.Sprintf("%d KiB", n>>10) }

// table prints rows below a head.
func table(head string, rows [][]any) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t)
	_ = t.Flush()
}
