package ec2

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/provider"
)

func TestPrice(t *testing.T) {
	for name, want := range map[string]float64{"t3.nano": .0052, "t3.micro": .0104, "t3.medium": .0416, "m5.xlarge": .192, "m5.24xlarge": 4.608, "c6g.medium": .034} {
		if got, known := price(machineType{name: name}); !known || got < want*.999 || got > want*1.001 {
			t.Errorf("%s: %v, %v", name, got, known)
		}
	}
	for _, name := range []string{"m5.metal", "new9.large", "nonsense"} {
		if _, known := price(machineType{name: name, cores: 1}); known {
			t.Errorf("the price of %s is known", name)
		}
	}
}

func TestFitting(t *testing.T) {
	amd, arm := []string{"amd64"}, []string{"arm64"}
	all := []machineType{
		{"new9.large", amd, 64, 1 << 20, true}, {"m5.metal", amd, 96, 1 << 20, true}, {"mac2.metal", amd, 96, 1 << 21, true},
		{"m5.large", amd, 2, 8192, true}, {"t3.large", amd, 2, 8192, true}, {"t3.micro", amd, 2, 1024, true}, {"t4g.micro", arm, 2, 1024, true},
	}
	for _, test := range []struct {
		w    wish
		want string
	}{
		{wish{arch: "amd64"}, "t3.micro t3.large m5.large new9.large"},
		{wish{arch: "amd64", memory: 2000}, "t3.large m5.large new9.large"},
		{wish{arch: "amd64", cores: 3}, "new9.large"},
		{wish{arch: "arm64"}, "t4g.micro"},
		{wish{arch: "arm64", memory: 2000}, ""},
		{wish{arch: "amd64", memory: 1 << 22}, ""},
	} {
		found, err := test.w.fitting(all)
		var names []string
		for _, m := range found {
			names = append(names, m.name)
		}
		if got := strings.Join(names, " "); got != test.want || (got == "") != errors.Is(err, provider.ErrRefused) {
			t.Errorf("%+v: got %s, %v, want %s", test.w, got, err, test.want)
		}
	}
}

// Whoever looks for subnets finds the same in the same order; machines of a model, and those of a group in it, are spread over all zones; and all are tried.
func TestCandidates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n network
		zones := rapid.IntRange(1, 5).Draw(t, "zones")
		for i := range rapid.IntRange(zones, 12).Draw(t, "subnets") {
			n.subnets = append(n.subnets, subnet{id: fmt.Sprintf("subnet-%02d", i), zone: fmt.Sprintf("z%d", i%zones), public: rapid.Bool().Draw(t, "public")})
		}
		model := rapid.StringMatching(`[a-f0-9]{8}`).Draw(t, "model")
		first := map[string]int{}
		group, step := rapid.SampledFrom([]string{"", "web"}).Draw(t, "group"), rapid.IntRange(1, 5).Draw(t, "step")
		for number := range zones * 3 {
			req := provider.StartRequest{Model: model, Machine: fmt.Sprint(number)}
			if group != "" { // whatever else the model has
				req = provider.StartRequest{Model: model, Machine: fmt.Sprint(number * step), Group: group, Turn: number}
			}
			machine := turnOf(req)
			got, err := n.candidates(wish{}, nil)
			got = inTurn(got, machine)
			if err != nil || len(got) != len(n.subnets) {
				t.Fatalf("%v, %v", got, err)
			}
			other := network{subnets: rapid.Permutation(n.subnets).Draw(t, "order")}
			again, _ := other.candidates(wish{}, nil)
			if fmt.Sprint(got) != fmt.Sprint(inTurn(again, machine)) {
				t.Fatalf("%v and %v", got, again)
			}
			first[got[0].zone]++
			for i := 1; i < len(got); i++ {
				if got[i].zone == got[i-1].zone && got[i].public && !got[i-1].public {
					t.Fatalf("a private subnet before a public one: %v", got)
				}
			}
		}
		for zone, n := range first {
			if n != 3 || len(first) != zones {
				t.Fatalf("zone %s has %d of the machines: %v", zone, n, first)
			}
		}
	})
}

func TestRules(t *testing.T) {
	rule := rapid.Custom(func(t *rapid.T) provider.Rule {
		port := rapid.IntRange(0, 5).Draw(t, "port")
		r := provider.PortRange{Protocol: rapid.SampledFrom([]string{provider.TCP, provider.UDP, provider.ICMP}).Draw(t, "protocol"), From: port, To: port + 1}
		if r.Protocol == provider.ICMP {
			r.From, r.To = -1, -1
		}
		return provider.Rule{PortRange: r, Sources: rapid.SliceOfN(rapid.SampledFrom([]string{"10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"}), 0, 2).Draw(t, "sources")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, err := rulesOf(rapid.SliceOf(rule).Draw(t, "is"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := rulesOf(rapid.SliceOf(rule).Draw(t, "wanted"))
		if got := rulesIn(a.permissions()); fmt.Sprint(got) != fmt.Sprint(a) {
			t.Fatalf("%v came back as %v", a, got)
		}
		now := a.without(a.without(b)) // what is too much is closed
		for r := range b.without(a) {  // what is missing is opened
			now[r] = true
		}
		if fmt.Sprint(now) != fmt.Sprint(b) {
			t.Fatalf("from %v to %v: %v", a, b, now)
		}
	})
}

func TestSettings(t *testing.T) {
	for _, bad := range []map[string]string{{"ssh-allow": "everyone"}, {"image-owner": "1"}, {"image-name": "x"}} {
		if _, err := readSettings(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	s, err := readSettings(map[string]string{"subnets": "subnet-1, subnet-2", "colour": "blue"})
	if err != nil || len(s.subnets) != 2 || len(s.unknown) != 1 || s.volumeType != "gp3" || len(s.sshAllow) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestOpen(t *testing.T) {
	for _, bad := range []provider.Spec{{}, {Region: "r", Credential: provider.Credential{AuthType: "password"}}, {Region: "r", Cloud: provider.Cloud{Config: map[string]string{"ssh-allow": "x"}}}} {
		if _, err := Open(Config{Spec: bad}); err == nil {
			t.Errorf("%+v is opened", bad)
		}
	}
	if p, err := Open(Config{Spec: provider.Spec{Cloud: Cloud()}}); err != nil || p.Spec.Region != "us-east-1" {
		t.Errorf("%+v, %v", p, err)
	}
}
