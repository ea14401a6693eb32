package lxd

import (
	"testing"

	"github.com/grigri/grigri/provider/lxd/client"
)

// What is known of the hardware of a machine for which nothing was asked, and of one that has limits.
func TestHardwareOfEachKind(t *testing.T) {
	limits := map[string]string{"limits.cpu": "3", "limits.memory": "2GiB"}
	for _, test := range []struct {
		kind          string
		config        map[string]string
		cores, memory int
	}{{client.Container, nil, 0, 0}, {client.VM, nil, 1, 1024}, {client.Container, limits, 3, 2048}, {client.VM, limits, 3, 2048}} {
		i := client.InstanceFull{}
		i.Type, i.ExpandedConfig = test.kind, test.config
		if got := (&Provider{}).instance(i).Hardware; got.VirtType != test.kind || got.Cores != test.cores || got.MemoryMiB != test.memory {
			t.Errorf("a %s with %v has %+v", test.kind, test.config, got)
		}
	}
}
