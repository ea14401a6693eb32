package leader

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// What the leader tells of a machine is each status once, but for those after it, who tell what they find.
func TestStatusesOfMachinesAreTold(t *testing.T) {
	w := newWorld(t)
	var told []string
	last := map[string]string{}
	w.tell = func(m state.ModelID, tag string, s state.StatusRecord) {
		text := strings.TrimSpace(s.Status + " " + s.Message)
		if key := tag + " " + string(s.Type); m == model && last[key] != text {
			last[key] = text
			told = append(told, key+" "+text)
		}
		if s.Since.IsZero() {
			t.Errorf("%s %s is since no time", tag, text)
		}
	}
	w.elect()
	want := func(about string, lines ...string) {
		t.Helper()
		if !slices.Equal(told, lines) {
			t.Errorf("%s: told\n  %s\nwant\n  %s", about, strings.Join(told, "\n  "), strings.Join(lines, "\n  "))
		}
		told = nil
	}
	const instance, agent = "machine-0 machine ", "machine-0 juju-machine "
	w.cloud.startErr = errors.New("no capacity")
	w.deploy("web", 1)
	w.settle()
	w.pass(time.Minute)
	want("failed again and again", instance+"provisioning error start machine 0: no capacity")
	w.cloud.startErr, w.cloud.boots = nil, true
	w.pass(time.Hour)
	want("started", instance+"pending")
	in := w.cloud.instances["i-1"]
	in.State, in.Addresses = provider.Running, []string{"127.2.0.1"}
	w.cloud.instances["i-1"] = in
	w.pass(time.Minute)
	want("running", instance+"running Running")

	ward := ward{w}
	edit(w, func(context.Context, state.Reader) (t state.Txn, err error) {
		t.Create(model.MachineReportPath("0"), state.MachineReport{Started: w.now})
		return t, nil
	})
	ward.present()
	ward.absent()
	w.elect()
	w.settle()
	ward.present()
	want("the agent goes and comes", agent+"started", agent+"down agent is not communicating with the server", agent+"started")
	ward.dies()
	w.pass(10 * time.Minute)
	want("the instance stops and is started again", agent+"down agent is not communicating with the server", instance+"stopped", instance+"running Running")

	// A container is told of as a machine is. What has become of it its host's agent reports.
	ward.present()
	w.deploy("db", 1, "lxd:0")
	w.settle()
	const box = state.MachineID("0/lxd/0")
	edit(w, func(context.Context, state.Reader) (t state.Txn, err error) {
		in := provider.Instance{ID: "c-1", Model: string(model), Machine: string(box), State: provider.Running, Addresses: []string{"127.3.0.1"}}
		t.Create(model.ContainerReportPath(box), state.ContainerReport{Instance: state.Instance{Instance: in, Since: w.now}})
		t.Create(model.MachineAgentPath(box), state.Presence{Boot: "b"})
		t.Tell(model, state.TicketMachine, string(box))
		return t, nil
	})
	w.settle()
	want("a container", agent+"started", "machine-0-lxd-0 juju-machine started", "machine-0-lxd-0 machine running Running")
	w.removeApplication("db", state.Ending{Force: true})
	w.pass(10 * time.Minute)
	want("the container goes", "unit-db-0 workload terminated forced, its agent was not there", "machine-0-lxd-0 juju-machine stopped the machine is removed")
	w.removeUnit("web/0", state.Ending{Force: true})
	w.settle()
	w.pass(10 * time.Minute)
	want("removed", "unit-web-0 workload terminated forced, its agent was not there", agent+"stopped the machine is removed")
}
