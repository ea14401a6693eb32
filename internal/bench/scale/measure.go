package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// measure makes the environment and all measurements, in their order.
func measure(ctx context.Context, p plan) (err error) {
	if p.dir == "" {
		if p.dir, err = os.MkdirTemp("", "ggs"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()
	}
	w, err := openWorld(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	s := &series{world: w}
	for _, step := range []func(context.Context) error{s.grow, s.changes, s.statuses, s.failures, s.atRest} {
		err := step(ctx)
		s.print()
		if err != nil {
			return err
		}
	}
	return nil
}

// A series is what has been measured so far.
type series struct {
	*world
	rows  []row
	total int // units that there are to be
}

func (s *series) add(r row, err error) error {
	if err == nil {
		s.rows = append(s.rows, r)
	}
	return err
}

// print prints what has been measured since it last was.
func (s *series) print() {
	var rows [][]any
	for _, r := range s.rows {
		rows = append(rows, []any{r.what, seconds(r.call), seconds(r.over), r.woken, r.hooks, kib(r.in), kib(r.out), r.requests, r.notifications, seconds(r.zk), seconds(r.controller), r.expired, r.begun})
	}
	if len(rows) > 0 {
		table("what\tanswer after\tquiet after\tunits woken\thooks\tagents read\tagents wrote\trequests\tevents\tZooKeeper CPU\tcontroller CPU\tsessions lost\tmachines begun anew", rows)
	}
	s.rows = nil
}

// grow makes the units: one application whose units have a machine each, made by promises, and others that are told where to go.
func (s *series) grow(ctx context.Context) error {
	s.total = s.big
	err := s.add(s.changeUntil(ctx, fmt.Sprintf("deploy -n %d, a machine each", s.big), s.started, func() error { return s.deploy(ctx, "big", s.big, nil) }))
	if err != nil {
		return err
	}
	if err := s.snapshot("after that"); err != nil {
		return err
	}
	rest := s.units - s.big
	machines, err := s.machines(ctx, (rest+s.each-1)/s.each)
	if err != nil {
		return err
	}
	err = s.add(s.changeUntil(ctx, fmt.Sprintf("deploy %d units on %d machines", rest, len(machines)), func(t tally) bool { return t.Started == s.total }, func() error {
		for i := 0; rest > 0; i++ {
			n := min(rest, 100)
			name := fmt.Sprintf("app%d", i)
			to := make([]string, n)
			for j := range to {
				to[j] = machines[(i*100+j)%len(machines)]
			}
			if err := s.deploy(ctx, name, n, to); err != nil {
				return err
			}
			rest, s.total = rest-n, s.total+n
		}
		return nil
	}))
	if err != nil {
		return err
	}
	return s.snapshot("all units up")
}

func (s *series) started(t tally) bool { return t.Started == s.total }

func (s *series) deploy(ctx context.Context, name string, n int, to []string) error {
	_, err := s.model.Deploy(ctx, userapi.Deploy{Name: state.ApplicationName(name), Charm: s.charm, Units: n, To: to})
	return err
}

func (s *series) machines(ctx context.Context, n int) (ids []string, err error) {
	for len(ids) < n {
		added, err := s.model.AddMachines(ctx, userapi.AddMachines{N: min(n-len(ids), 100)})
		if err != nil {
			return nil, err
		}
		for _, id := range added {
			ids = append(ids, string(id))
		}
	}
	return ids, nil
}

// snapshot prints what all take now.
func (s *series) snapshot(when string) error {
	r, err := s.read("ask")
	if err != nil {
		return err
	}
	table(when+"\tmemory\tCPU so far", [][]any{
		{"ZooKeeper", fmt.Sprintf("%d MiB", r.zk.pss), seconds(r.zk.cpu)},
		{"the controller", fmt.Sprintf("%d MiB", r.controller.pss), seconds(r.controller.cpu)},
		{fmt.Sprintf("%d machines with %d units", r.server["zk_num_alive_connections"]-2, r.machines.Units), fmt.Sprintf("%d MiB", r.hosts.pss), seconds(r.hosts.cpu)},
	})
	for _, key := range []string{"zk_znode_count", "zk_watch_count", "zk_ephemerals_count", "zk_approximate_data_size", "zk_num_alive_connections", "zk_max_latency", "zk_outstanding_requests", "zk_open_file_descriptor_count"} {
		fmt.Printf("%s %d\n", key, r.server[key])
	}
	fmt.Println()
	return nil
}

// changes makes those that are to wake a few.
func (s *series) changes(ctx context.Context) error {
	set := func(app, value string) func() error {
		return func() error {
			return s.model.SetApplicationConfig(ctx, state.ApplicationName(app), userapi.Settings{Set: map[string]string{"v": value}})
		}
	}
	spare, err := s.machines(ctx, 1)
	if err != nil {
		return err
	}
	if err := s.deploy(ctx, "one", 1, spare); err != nil {
		return err
	}
	s.total++
	if _, err := s.quiet(ctx, s.started); err != nil {
		return err
	}
	err = errors.Join(
		s.add(s.change(ctx, "a setting of 100 units", set("app0", "1"))),
		s.add(s.change(ctx, fmt.Sprintf("a setting of %d units", s.big), set("big", "1"))))
	if err != nil {
		return err
	}
	for range 2 {
		s.total++
		err = s.add(s.changeUntil(ctx, fmt.Sprintf("a unit more where there are %d", s.big), s.started, func() error {
			_, err := s.model.AddUnits(ctx, "big", userapi.AddUnits{N: 1, To: spare})
			return err
		}))
		if err != nil {
			return err
		}
	}
	return s.add(s.change(ctx, "a relation of 100 units with 1", func() error {
		_, err := s.model.Integrate(ctx, "app0:up", "one:down")
		return err
	}))
}

// statuses asks for the status.
func (s *series) statuses(ctx context.Context) error {
	var rows [][]any
	for _, what := range []struct {
		name      string
		selectors []string
	}{{"status, first", nil}, {"status, again", nil}, {"status, again", nil}, {"status app1", []string{"app1"}}, {"status big/7", []string{"big/7"}}, {"status 3", []string{"3"}}} {
		before, err := s.read("ask")
		if err != nil {
			return err
		}
		began := time.Now()
		size, first, err := s.status(ctx, what.selectors)
		if err != nil {
			return fmt.Errorf("%s: %w", what.name, err)
		}
		took := time.Since(began)
		after, err := s.read("ask")
		if err != nil {
			return err
		}
		rows = append(rows, []any{what.name, seconds(first), seconds(took), kib(size), after.server["zk_packets_received"] - before.server["zk_packets_received"],
			seconds(after.controller.cpu - before.controller.cpu), seconds(after.zk.cpu - before.zk.cpu), fmt.Sprintf("%d MiB", after.controller.pss)})
	}
	watch, err := s.watch(ctx)
	if err != nil {
		return err
	}
	table("what\tfirst byte after\tall after\tsize\trequests\tcontroller CPU\tZooKeeper CPU\tcontroller", append(rows, watch))
	return nil
}

// status asks as the client does, and says how much came and when the answer began.
func (s *series) status(ctx context.Context, selectors []string) (size int64, first time.Duration, err error) {
	began := time.Now()
	if err := s.profiled(ctx, "status", func() error {
		_, _, err := s.model.StatusAfter(ctx, "", 0, selectors...)
		first = time.Since(began)
		return err
	}); err != nil {
		return 0, 0, err
	}
	report, err := s.model.Status(ctx, selectors...)
	return int64(len(state.Encode(report))), first, err
}

// watch waits ten seconds for a change that does not come, as status --watch does.
func (s *series) watch(ctx context.Context) ([]any, error) {
	_, revision, err := s.model.StatusAfter(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	before, err := s.read("ask")
	if err != nil {
		return nil, err
	}
	if _, _, err := s.model.StatusAfter(ctx, revision, 10*time.Second); err != nil {
		return nil, err
	}
	after, err := s.read("ask")
	return []any{"status --watch for 10 s", "", "", "", after.server["zk_packets_received"] - before.server["zk_packets_received"],
		seconds(after.controller.cpu - before.controller.cpu), seconds(after.zk.cpu - before.zk.cpu), fmt.Sprintf("%d MiB", after.controller.pss)}, err
}

// failures ends parts of the environment without a word.
func (s *series) failures(ctx context.Context) error {
	lead, err := s.leader(ctx)
	if err != nil {
		return err
	}
	if err := s.add(s.change(ctx, fmt.Sprintf("the leader of %d units goes", s.big+2), func() error {
		t, err := s.ask("end " + lead)
		if err == nil && !t.Ended {
			err = errors.New("no process plays machine " + lead)
		}
		return err
	})); err != nil {
		return err
	}
	for _, again := range []string{"", " again"} {
		if err := s.add(s.change(ctx, "the controller is killed and started"+again, func() error {
			s.controller.kill()
			if err := s.startController(ctx); err != nil {
				return err
			}
			began := time.Now()
			_, err := s.model.Status(ctx)
			fmt.Printf("the first status after the controller's start took %s\n", seconds(time.Since(began)))
			return err
		})); err != nil {
			return err
		}
		if err := s.audited(ctx); err != nil {
			return err
		}
	}
	if err := s.snapshot("after the controller's restarts"); err != nil {
		return err
	}
	return s.add(s.changeUntil(ctx, "ZooKeeper is killed and started", func(t tally) bool { return t.Woken >= s.total-1 }, func() error {
		return syscall.Kill(int(s.zkPID.Load()), syscall.SIGKILL) // and is started again; whoever comes back looks at all that is his
	}))
}

// leader is the machine of the unit that leads big.
func (s *series) leader(ctx context.Context) (string, error) {
	report, err := s.model.Status(ctx, "big/leader")
	if err != nil {
		return "", err
	}
	for _, u := range report.Status.Applications["big"].Units {
		return string(u.Machine), nil
	}
	return "", errors.New("nobody leads big")
}

// audited waits until the controller has nothing to do, and prints how long it had.
func (s *series) audited(ctx context.Context) error {
	return s.profiled(ctx, "audit", func() error {
		began, last := time.Now(), usage{}
		for {
			u, err := usageOf(s.controller.pid())
			if err != nil {
				return err
			}
			if u.cpu-last.cpu < 60*time.Millisecond {
				fmt.Printf("the controller has looked at everything after %s, and took %s of CPU and %d MiB\n", seconds(time.Since(began)), seconds(u.cpu), u.pss)
				return nil
			}
			last = u
			if err := sleep(ctx, 2*time.Second); err != nil {
				return err
			}
		}
	})
}

// atRest looks at all with the hook update-status at its usual pace.
func (s *series) atRest(ctx context.Context) error {
	if s.rest == 0 {
		return nil
	}
	err := s.add(s.change(ctx, "a setting of the model, which all machines watch", func() error {
		_, err := s.model.SetConfig(ctx, userapi.Settings{Set: map[string]string{"update-status-hook-interval": "5m"}})
		return err
	}))
	if err != nil {
		return err
	}
	if err := sleep(ctx, 30*time.Second); err != nil {
		return err
	}
	a, err := s.read("forget")
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Duration(s.rest)*time.Second); err != nil {
		return err
	}
	b, err := s.read("ask")
	if err != nil {
		return err
	}
	table(fmt.Sprintf("%d s at rest\tCPU\tmemory", s.rest), [][]any{
		{"ZooKeeper", seconds(b.zk.cpu - a.zk.cpu), fmt.Sprintf("%d MiB", b.zk.pss)},
		{"the controller", seconds(b.controller.cpu - a.controller.cpu), fmt.Sprintf("%d MiB", b.controller.pss)},
		{"all machines", seconds(b.hosts.cpu - a.hosts.cpu), fmt.Sprintf("%d MiB", b.hosts.pss)},
		{fmt.Sprintf("%d hooks, %d requests", b.machines.Hooks-a.machines.Hooks, b.server["zk_packets_received"]-a.server["zk_packets_received"])},
	})
	return nil
}

// profiled has the controller profiled meanwhile, if that was asked for.
func (s *series) profiled(ctx context.Context, what string, do func() error) error {
	if s.profile == "" {
		return do()
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.dir, profileSocket))
	}}
	defer transport.CloseIdleConnections()
	get := func(url, file string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(s.profile, file), data, 0o600)
	}
	var g errgroup.Group
	g.Go(func() error { return get("http://controller/profile?seconds=5", what+".cpu") })
	err := errors.Join(do(), g.Wait())
	return errors.Join(err, get("http://controller/heap", what+".heap"))
}
