package zk

import (
	"slices"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/state"
)

func TestNothingIsOpenToTheWorld(t *testing.T) {
	noLeak(t)
	cfg := config()
	c := open(t, cfg)
	for range 2 {
		if err := c.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m := state.ModelID("m")
	commit(t, c, func(x *state.Txn) {
		for _, p := range state.Roots() {
			x.Create(p, nil)
		}
		x.Create(m.Path(), 1)
		x.Create(m.ConfigPath(), 1)
	})
	if world, err := c.World(t.Context()); err != nil || len(world) > 0 {
		t.Errorf("%v: %v", world, err)
	}
	acl := []zk.ACL{{Perms: 1, Scheme: "world", ID: "anyone"}}
	if _, err := c.conn.Create(cfg.Chroot+"/open", nil, 0, acl); err != nil {
		t.Fatal(err)
	}
	defer c.conn.Delete(cfg.Chroot+"/open", -1)
	world, err := c.World(t.Context())
	if err != nil || len(world) != 1 || !slices.Equal(world[cfg.Chroot+"/open"], []string{"world:anyone"}) {
		t.Errorf("with a node that is open: %v: %v", world, err)
	}
}
