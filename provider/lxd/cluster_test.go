package lxd_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/provider"
)

// memberSpec is an LXD of lxdtest.Members.
func memberSpec(m *lxdtest.Member, config map[string]string) provider.Spec {
	s := provider.Spec{Cloud: provider.Cloud{Name: "cluster", Type: "lxd", Endpoint: m.Socket, Config: map[string]string{"image": m.Tiny, "image-server": "", "pool": lxdtest.Pool}},
		Credential: provider.Credential{AuthType: provider.AuthEmpty}}
	for k, v := range config {
		s.Cloud.Config[k] = v
	}
	return s
}

// A cluster of three: machines go where they are told to, and otherwise where there are fewest; all are listed whoever is asked; and what
// is on a member that is down is not taken for gone.
func TestACluster(t *testing.T) {
	t.Parallel()
	members := lxdtest.Members(t, nil, "alpha", "beta", "gamma")
	lxdtest.Cluster(t, members)
	alpha := members[0]
	for _, m := range members {
		alpha.LXC(t, "network", "create", "lan", "--target", m.Name)
	}
	alpha.LXC(t, "network", "create", "lan", "ipv4.address=10.77.0.1/24", "ipv6.address=none")
	network := map[string]string{"network": "lan"}
	p := open(t, memberSpec(alpha, network))
	ask := func(machine, placement string, zones ...string) provider.StartRequest {
		req := request(machine, "")
		req.Controller, req.Model, req.Placement = controller, model, placement
		if zones != nil {
			req.Constraints.Zones = &zones
		}
		return req
	}
	where := map[string]string{}
	made := func(machine, placement string, zones ...string) {
		t.Helper()
		in, err := p.Start(t.Context(), ask(machine, placement, zones...))
		if err != nil {
			t.Fatal(err)
		}
		where[machine] = in.Hardware.Zone
	}
	made("0", "zone=beta")
	made("1", "", "gamma")
	if where["0"] != "beta" || where["1"] != "gamma" {
		t.Errorf("the machines are on %v", where)
	}
	for placement, want := range map[string]string{"zone=delta": "no member of the cluster has zone delta and arch amd64; the zones are alpha, beta, gamma", "on=beta": "LXD understands zone=NAME"} {
		if _, err := p.Start(t.Context(), ask("9", placement)); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", placement, err)
		}
	}
	if _, err := open(t, memberSpec(alpha, nil)).Start(t.Context(), ask("9", "")); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "config network") {
		t.Errorf("without a network that spans the cluster: %v", err)
	}

	var gamma map[string]any
	if err := json.Unmarshal([]byte(alpha.LXC(t, "query", "/1.0/cluster/members/gamma")), &gamma); err != nil {
		t.Fatal(err)
	}
	gamma["failure_domain"] = "hall"
	put, err := json.Marshal(gamma)
	if err != nil {
		t.Fatal(err)
	}
	alpha.LXC(t, "query", "-X", "PUT", "-d", string(put), "/1.0/cluster/members/gamma")
	made("2", "zone=hall")
	if where["2"] != "gamma" {
		t.Errorf("zone=hall, that of gamma, is on %s", where["2"])
	}
	var g errgroup.Group // machines of another model, at once: one for each member
	another := model[:len(model)-1] + "9"
	zones := make([]string, 3)
	for n, machine := range []string{"0", "1", "2"} {
		g.Go(func() error {
			req := ask(machine, "")
			req.Model, req.Group = another, "web"
			in, err := p.Start(t.Context(), req)
			zones[n] = in.Hardware.Zone
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(zones); !slices.Equal(zones, []string{"alpha", "beta", "gamma"}) {
		t.Errorf("three machines that were started at once are on %v", zones)
	}

	list := func(p provider.Provider) (provider.Instance, int, error) {
		all, err := p.List(t.Context(), controller)
		for _, in := range all {
			if in.Model == model && in.Machine == "1" {
				return in, len(all), err
			}
		}
		return provider.Instance{}, len(all), err
	}
	before, n, err := list(open(t, memberSpec(members[1], network)))
	if err != nil || n != 6 || before.State != provider.Running {
		t.Errorf("beta lists %d, of them %+v: %v", n, before, err)
	}
	if before, n, err = list(p); err != nil || n != 6 {
		t.Errorf("alpha lists %d: %v", n, err)
	}
	members[2].Kill()
	silent := func() bool {
		in, n, err := list(p)
		if err != nil {
			if !errors.Is(err, provider.ErrTransient) {
				t.Fatalf("while gamma is down: %v", err)
			}
			return false
		}
		if n != 6 || in.ID != before.ID || in.State != provider.Running {
			t.Fatalf("while gamma is down %d are listed, of them %+v", n, in)
		}
		return strings.Contains(in.Message, "member gamma of LXD's cluster does not answer")
	}
	await(t, "gamma to be missed", silent)
	var partial *provider.PartialError
	if _, n, err := list(open(t, memberSpec(members[1], network))); !errors.As(err, &partial) || !strings.Contains(partial.Silent[before.ID], "member gamma") || n+len(partial.Silent) != 6 {
		t.Errorf("who has never seen what is on gamma lists %d: %v", n, err)
	}
	if _, err := p.Start(t.Context(), ask("1", "")); !errors.Is(err, provider.ErrTransient) {
		t.Errorf("a start of what is on gamma: %v", err)
	}
	if err := p.Stop(t.Context(), before.ID); !errors.Is(err, provider.ErrTransient) {
		t.Errorf("a stop of what is on gamma: %v", err)
	}
	await(t, "gamma to be offline", func() bool { return strings.Contains(alpha.LXC(t, "cluster", "list"), "OFFLINE") })
	if _, err := p.Start(t.Context(), ask("8", "zone=hall")); !errors.Is(err, provider.ErrTransient) || !strings.Contains(err.Error(), "zone hall, is online") {
		t.Errorf("a machine for gamma: %v", err)
	}
	made("3", "")
	if where["3"] == "gamma" {
		t.Error("a machine is made on a member that is down")
	}
}
