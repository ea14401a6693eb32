package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
)

// TestKill kills agents, the controller and its ZooKeeper at random moments of a deployment that never rests, and wants all of it
// to come to what was asked for, with every hook's effect in the tree exactly once. GRIGRI_SEED replays the moments.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("GRIGRI_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("GRIGRI_SEED=%d", seed)
	e := newEnvironment(t, "kills")
	k := &killer{environment: e, rand: rand.New(rand.NewPCG(seed, 0)), kills: map[state.MachineID]int{}}
	k.victims = slices.Repeat([]string{"agent", "zookeeper", "controller"}, 4)
	k.rand.Shuffle(len(k.victims), func(i, j int) { k.victims[i], k.victims[j] = k.victims[j], k.victims[i] })

	log := filepath.Join(e.data, "diaries")
	if err := os.Mkdir(log, 0o700); err != nil {
		t.Fatal(err)
	}
	counter := func(name string) []string {
		return []string{"deploy", "./testdata/counter", name, "-n", "2", "--config", "log=" + log}
	}
	steps := []func(){
		func() { e.again("already exists", counter("left")...) },
		func() { e.again("already exists", counter("right")...) },
		func() { e.again("already exists", "deploy", examples+"store") },
		func() { e.again("already exists", "integrate", "left:up", "right:down") },
		func() { e.again("already exists", "deploy", examples+"web", "-n", "2") },
		func() { e.again("", "config", "left", "v=1") },
		func() { e.again("already exists", "integrate", "web", "store") },
		func() { k.addUnit("right", 3) },
		func() { e.again("already exists", "deploy", examples+"balancer") },
		func() { e.again("", "config", "right", "v=1") },
		func() { e.again("already exists", "integrate", "balancer", "web") },
		func() { e.again("not found", "remove-unit", "left/1", "--no-prompt") },
		func() { e.again("", "config", "left", "v=2") },
		func() { k.addUnit("web", 3) },
		func() { e.again("", "config", "right", "v=2") },
	}
	for i, step := range steps {
		step()
		if i > 0 && len(k.victims) > 0 {
			k.strike()
		}
	}
	for len(k.victims) > 0 {
		k.strike()
	}
	e.settled(map[state.ApplicationName]int{"left": 1, "right": 3, "store": 1, "web": 3, "balancer": 1})
	k.checkDiaries(log, map[state.UnitName]string{"left/0": "2", "right/0": "2", "right/1": "2", "right/2": "2"}, "left/1")
	k.checkPage()
}

// A killer kills processes of the environment and makes the controller run again.
type killer struct {
	*environment
	rand    *rand.Rand
	victims []string                // still to come
	kills   map[state.MachineID]int // of agents
	busy    bool                    // the last agent was chosen because it was busy
}

// strike kills the next victim at a random moment of the next seconds, and sees to it that a controller runs.
func (k *killer) strike() {
	k.Helper()
	time.Sleep(time.Duration(k.rand.Int64N(int64(3 * time.Second)))) // any moment is to be as good as any other
	victim := k.victims[0]
	k.victims = k.victims[1:]
	choice := k.rand.Uint64()
	var p process
	switch victim {
	case "agent":
		p = k.agent(choice)
		k.kills[k.machine(p)]++
	case "zookeeper":
		p = k.find(0, func(p process) bool { return p.program() == "java" })
	case "controller":
		p = k.find(0, func(p process) bool { return p.program() == "grigrid" })
	}
	k.Logf("kill %s: process %d %s", victim, p.pid, k.machine(p))
	k.kill(p)
	if victim == "controller" {
		k.eventually("the controller has ended", p.ended)
		k.startController()
	}
}

// find waits for a process of the kind, and chooses one.
func (k *killer) find(choice uint64, kind func(process) bool) (p process) {
	k.Helper()
	k.eventually("a process to kill", func() error {
		found := slices.DeleteFunc(k.processes(), func(p process) bool { return !kind(p) })
		if len(found) == 0 {
			return errors.New("there is none")
		}
		p = found[choice%uint64(len(found))]
		return nil
	})
	return p
}

// agent chooses an agent: every other time one that runs a hook, if there is any soon.
func (k *killer) agent(choice uint64) process {
	k.Helper()
	machine := state.MachineID("")
	if k.busy = !k.busy; k.busy {
		for end := time.Now().Add(2 * time.Second); machine == "" && time.Now().Before(end); {
			for _, p := range k.processes() {
				if slices.ContainsFunc(p.args, func(a string) bool { return strings.HasSuffix(a, "/charm/dispatch") }) {
					machine = k.machine(p)
				}
			}
		}
		k.Logf("a hook runs on machine %s", machine)
	}
	return k.find(choice, func(p process) bool {
		return p.program() == "grigri-agent" && slices.Contains(p.args, "run") && (machine == "" || k.machine(p) == machine)
	})
}

// startController starts the controller again, as whoever looks after the host would.
func (k *killer) startController() {
	k.Helper()
	log, err := os.OpenFile(k.controllerFile("grigrid.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		k.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(k.bin, "grigrid"), "run", "--data-dir", k.controllerFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // it is ours, and would stay as a zombie
}

// addUnit adds the unit that makes it n: an earlier try whose answer was lost may have.
func (k *killer) addUnit(app state.ApplicationName, n int) {
	k.Helper()
	k.eventually(fmt.Sprintf("add a unit to %s", app), func() error {
		st, err := k.status()
		if err == nil && len(st.Applications[app].Units) < n {
			_, err = k.run("add-unit", string(app))
		}
		return err
	})
}

// checkDiaries holds what the hooks of each unit have said against what is in the tree: the units that are there, with the
// settings they must have heard of at last, and one that has left.
func (k *killer) checkDiaries(dir string, units map[state.UnitName]string, left state.UnitName) {
	k.Helper()
	st, err := k.status()
	if err != nil {
		k.Fatal(err)
	}
	diaries := map[state.UnitName]diary{}
	read := func(u state.UnitName) diary {
		d, err := readDiary(dir, u)
		if err != nil {
			k.Error(err)
		}
		diaries[u] = d
		return d
	}
	all := 0
	for _, n := range k.kills {
		all += n
	}
	for u, config := range units {
		d := read(u)
		n, err := strconv.Atoi(strings.TrimSpace(k.must("exec", "--unit", string(u), "--", "state-get", "n")))
		if err != nil {
			k.Errorf("%s: %v", u, err)
		}
		k.report(u, d, d.check(n, k.kills[st.Applications[u.Application()].Units[u].Machine]))
		if seen := d.configs(); len(seen) == 0 || seen[len(seen)-1] != config {
			k.Errorf("%s: config-changed has seen %v, and the setting is %s", u, seen, config)
		}
		for id, want := range d.settings() {
			if got := strings.TrimSpace(k.must("exec", "--unit", string(u), "--", "relation-get", "-r", id, "n", string(u))); got != strconv.Itoa(want) {
				k.Errorf("%s has n=%s in %s, and its last hook has set %d", u, got, id, want)
			}
		}
	}
	for u := range units {
		for key, heard := range diaries[u].heard() {
			id, remote, _ := strings.Cut(key, " ")
			if got := strings.TrimSpace(k.must("exec", "--unit", string(u), "--", "relation-get", "-r", id, "n", remote)); got != strconv.Itoa(heard) {
				k.Errorf("%s has heard n=%d of %s in %s at last, and it is %s", u, heard, remote, id, got)
			}
		}
	}
	if d := read(left); len(d) == 0 || d[len(d)-1].hook != "remove" {
		k.Errorf("the last hook of %s is not remove", left)
	} else {
		k.report(left, d, d.check(len(d.committed()), all))
	}
}

func (k *killer) report(u state.UnitName, d diary, wrong []string) {
	for _, w := range wrong {
		k.Errorf("%s: %s", u, w)
	}
	if len(wrong) > 0 {
		for _, r := range d {
			k.Logf("%s: %+v", u, r)
		}
	}
}

// checkPage wants the page through the balancer.
func (k *killer) checkPage() {
	k.Helper()
	st, err := k.status()
	if err != nil {
		k.Fatal(err)
	}
	u := st.Applications["balancer"].Units["balancer/0"]
	if len(u.OpenPorts) == 0 {
		k.Fatalf("balancer/0 has no open port")
	}
	port, _, _ := strings.Cut(u.OpenPorts[0], "/")
	k.eventually("a page through the balancer", func() error {
		_, err := fetch("http://" + u.PublicAddress + ":" + port + "/")
		return err
	})
}

// machine is the machine that the agent is of: its directory, MODEL-MACHINE, is in the command line.
func (k *killer) machine(p process) state.MachineID {
	_, dir, ok := strings.Cut(strings.Join(p.args, " "), "/machines/")
	if !ok {
		return ""
	}
	dir, _, _ = strings.Cut(dir, "/")
	return state.MachineID(dir[strings.LastIndexByte(dir, '-')+1:])
}
