package lxd

import (
	"testing"

	"github.com/grigri/grigri/provider/lxd/client"
)

// Machines of one group are apart first of all: in zones, then on members of these. Then the model's are, and then all.
func TestChoose(t *testing.T) {
	member := func(name, zone string) client.ClusterMember {
		return client.ClusterMember{ServerName: name, FailureDomain: zone, Architecture: "x86_64", Status: "Online"}
	}
	members := []client.ClusterMember{member("a", "east"), member("b", "east"), member("c", noZone)}
	for _, test := range []struct {
		load map[string]crowd
		want string
	}{
		{map[string]crowd{}, "a"},
		{map[string]crowd{"a": {all: 1}}, "b"},
		{map[string]crowd{"a": {model: 1, all: 1}, "b": {all: 3}, "c": {all: 2}}, "c"},
		{map[string]crowd{"a": {group: 1, model: 1, all: 1}, "c": {model: 5, all: 5}}, "c"},
		{map[string]crowd{"a": {group: 1, model: 1, all: 1}, "c": {group: 1, model: 5, all: 5}}, "b"},
		{map[string]crowd{"a": {group: 1, model: 1, all: 1}, "b": {group: 1, model: 9, all: 9}, "c": {group: 2, model: 2, all: 2}}, "a"},
	} {
		if got, err := (wish{arch: "x86_64"}).choose(members, test.load); got != test.want || err != nil {
			t.Errorf("%v: on %q, %v, want %q", test.load, got, err, test.want)
		}
	}
}
