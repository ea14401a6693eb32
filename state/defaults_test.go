package state_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// An heirs is a tree with a cloud of two regions, and what its models should have.
type heirs struct {
	tb
	s        *memory.Client
	by       state.By
	own      map[state.ModelID]state.ModelConfig // as users have set them
	region   map[state.ModelID]string
	defaults map[string]state.ModelConfig // by region; "" is of all
}

const founder = state.ModelID("founder")

func newHeirs(t tb) *heirs {
	h := &heirs{tb: t, s: memory.New().Connect(memory.Controller), by: state.By{User: "ada", Now: time.Unix(1e9, 0).UTC()}, own: map[state.ModelID]state.ModelConfig{},
		region: map[state.ModelID]string{}, defaults: map[string]state.ModelConfig{"": {"a": "boot"}, "near": {}, "far": {}}}
	moon := provider.Cloud{Name: "moon", Type: "moon", Regions: []provider.Region{{Name: "near"}, {Name: "far"}}}
	h.must(state.Bootstrap(ctx, h.s, h.by, state.Founding{Controller: state.Controller{Name: "c", Cloud: "moon", Region: "near"}, Admin: state.User{Name: "admin"}, Cloud: moon,
		Model: state.NewModel{UUID: founder, Config: state.ModelConfig{"b": "its own"}}, Defaults: state.ModelConfig{"a": "boot"}}))
	h.own[founder], h.region[founder] = state.ModelConfig{"b": "its own"}, "near"
	h.must(state.AddCloud(ctx, h.s, founder, h.by, provider.Cloud{Name: "sun", Type: "sun"}))
	h.add("elsewhere", "sun", "", nil)
	delete(h.own, "elsewhere") // nothing here is its concern
	return h
}

func (h *heirs) must(t state.Txn, err error) {
	h.Helper()
	if err == nil {
		_, err = h.s.Commit(ctx, t)
	}
	if err != nil {
		h.Fatalf("%v", err)
	}
}

func (h *heirs) add(id state.ModelID, cloud, region string, config state.ModelConfig) {
	h.Helper()
	t, _, err := state.AddModel(ctx, h.s, h.by, state.NewModel{UUID: id, Name: string(id), Owner: "admin", Cloud: cloud, Region: region, Config: config})
	h.must(t, err)
	h.own[id], h.region[id] = maps.Clone(config), region
	if config == nil {
		h.own[id] = state.ModelConfig{}
	}
}

// change is what a change of settings should do.
func change(c state.ModelConfig, set state.ModelConfig, reset []string) {
	for _, key := range reset {
		delete(c, key)
	}
	maps.Copy(c, set)
}

// settings is what is in the tree.
func (h *heirs) settings(id state.ModelID) (state.ModelConfig, state.Inherited) {
	h.Helper()
	config, err := state.Read[state.ModelConfig](ctx, h.s, id.ConfigPath())
	if err != nil {
		h.Fatalf("%v", err)
	}
	from, err := state.ReadIf[state.Inherited](ctx, h.s, id.InheritedPath())
	if err != nil {
		h.Fatalf("%v", err)
	}
	return config.Value, from.Value
}

// check holds that each model has of each setting its own, its region's, or its cloud's, and knows which.
func (h *heirs) check() {
	h.Helper()
	for id, own := range h.own {
		config, from := h.settings(id)
		for _, key := range []string{"a", "b", "c", "authorized-keys"} {
			value, source := "", ""
			if v, ok := h.defaults[""][key]; ok {
				value, source = v, state.FromController
			}
			if v, ok := h.defaults[h.region[id]][key]; ok {
				value, source = v, state.FromRegion
			}
			if v, ok := own[key]; ok {
				value, source = v, ""
			}
			if config[key] != value || from[key] != source {
				h.Fatalf("model %s in %q has %s=%q from %q, should have %q from %q", id, h.region[id], key, config[key], from[key], value, source)
			}
		}
	}
	if config, from := h.settings("elsewhere"); len(config) > 0 || len(from) > 0 {
		h.Fatalf("a model in another cloud has %v from %v", config, from)
	}
}

// TestModelsInherit makes changes of settings and of defaults at random: at every moment each model has what it should.
func TestModelsInherit(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKnS1ZOjYkQ1uK4YxMVkXcN8cxaCAa3EY1o1dQ7hGJpd ann"
	rapid.Check(t, func(t *rapid.T) {
		h := newHeirs(t)
		edit := func(t *rapid.T) (state.ModelConfig, []string) {
			key, value := rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{"1", "2", ""})
			return rapid.MapOfN(key, value, 0, 2).Draw(t, "set"), rapid.SliceOfN(key, 0, 2).Draw(t, "reset")
		}
		model := func(t *rapid.T) state.ModelID {
			return rapid.SampledFrom(slices.Sorted(maps.Keys(h.own))).Draw(t, "model")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { h.check() },
			"add": func(t *rapid.T) {
				if len(h.own) < 5 {
					set, _ := edit(t)
					h.add(state.ModelID(fmt.Sprintf("m%d", len(h.own))), "moon", rapid.SampledFrom([]string{"near", "far"}).Draw(t, "region"), set)
				}
			},
			"model": func(t *rapid.T) {
				id := model(t)
				set, reset := edit(t)
				tx, _, err := state.SetModelConfig(ctx, h.s, id, h.by, set, reset)
				h.must(tx, err)
				change(h.own[id], set, reset)
			},
			"keys": func(t *rapid.T) {
				id := model(t)
				if _, ok := h.own[id]["authorized-keys"]; ok {
					tx, _, err := state.ChangeSSHKeys(ctx, h.s, id, h.by, nil, []string{"ann"})
					h.must(tx, err)
					delete(h.own[id], "authorized-keys")
				} else {
					tx, _, err := state.ChangeSSHKeys(ctx, h.s, id, h.by, []string{key}, nil)
					h.must(tx, err)
					h.own[id]["authorized-keys"] = key + "\n"
				}
			},
			"defaults": func(t *rapid.T) {
				region := rapid.SampledFrom([]string{"", "near", "far"}).Draw(t, "region")
				set, reset := edit(t)
				h.must(state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", region, set, reset))
				change(h.defaults[region], set, reset)
				if tx, err := state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", region, set, nil); err != nil || len(tx.Ops) > 0 {
					t.Fatalf("what is so already is a change: %+v, %v", tx.Ops, err)
				}
			},
			"leader": func(t *rapid.T) {
				rec, err := state.Read[state.Model](ctx, h.s, model(t).Path())
				if err != nil {
					t.Fatal(err)
				}
				if tx, err := state.Inherit(ctx, h.s, rec.Value); err != nil || len(tx.Ops) > 0 {
					t.Fatalf("something is left to do: %+v, %v", tx.Ops, err)
				}
			},
		})
	})
}

// TestMoreHeirsThanATransactionHolds: what the change of the defaults cannot hold is what Inherit does.
func TestMoreHeirsThanATransactionHolds(t *testing.T) {
	h := newHeirs(t)
	for i := range 12 {
		h.add(state.ModelID(fmt.Sprintf("m%d", i)), "moon", "near", nil)
	}
	h.add("dying", "moon", "near", nil)
	tx, _, err := state.DestroyModel(ctx, h.s, "dying", h.by, state.Ending{}, false)
	h.must(tx, err)
	delete(h.own, "dying")
	long := state.ModelConfig{"c": strings.Repeat("x", 60<<10)}
	tx, err = state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", "", long, nil)
	if err != nil || tx.Valid() != nil || tx.Size() > state.MaxTxn*3/4 {
		t.Fatalf("a transaction of %d bytes: %v, %v", tx.Size(), err, tx.Valid())
	}
	h.must(tx, nil)
	maps.Copy(h.defaults[""], long)
	followed := 0
	for id := range h.own {
		if config, _ := h.settings(id); config["c"] != "" {
			followed++
			continue
		}
		rec, err := state.Read[state.Model](ctx, h.s, id.Path())
		if err != nil {
			t.Fatal(err)
		}
		h.must(state.Inherit(ctx, h.s, rec.Value))
	}
	if followed == 0 || followed == len(h.own) {
		t.Errorf("%d of %d models changed with the defaults", followed, len(h.own))
	}
	h.check()
}

func TestModelDefaultsRefused(t *testing.T) {
	h := newHeirs(t)
	for _, c := range []struct {
		cloud, region string
		set           state.ModelConfig
		want          string
	}{
		{"mars", "", nil, `cloud "mars" not found`},
		{"moon", "back", state.ModelConfig{"a": "1"}, `no region "back"`},
		{"sun", "near", state.ModelConfig{"a": "1"}, `no regions`},
		{"moon", "", state.ModelConfig{"a": strings.Repeat("x", 65<<10)}, "may have 65536 bytes together"},
	} {
		if tx, err := state.SetModelDefaults(ctx, h.s, founder, h.by, c.cloud, c.region, c.set, nil); err == nil || !strings.Contains(err.Error(), c.want) || len(tx.Ops) > 0 {
			t.Errorf("%s/%s: %v, %d changes; want %q", c.cloud, c.region, err, len(tx.Ops), c.want)
		}
	}
	h.check()
	for _, path := range []string{state.DefaultsPath("moon"), founder.InheritedPath()} {
		if acl := state.ACLFor(path); len(acl.Principals()) > 0 {
			t.Errorf("%s is open to %v", path, acl.Principals())
		}
	}
	// A region that the cloud loses keeps its defaults until they are reset; with the cloud they go too.
	h.must(state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", "far", state.ModelConfig{"a": "1"}, nil))
	h.must(state.UpdateCloud(ctx, h.s, founder, h.by, provider.Cloud{Name: "moon", Type: "moon", Regions: []provider.Region{{Name: "near"}}}))
	h.must(state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", "far", nil, []string{"a"}))
	if _, err := state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", "far", state.ModelConfig{"a": "1"}, nil); err == nil {
		t.Error("a region that is no more takes a default")
	}
	h.must(state.AddCloud(ctx, h.s, founder, h.by, provider.Cloud{Name: "star", Type: "star"}))
	h.must(state.SetModelDefaults(ctx, h.s, founder, h.by, "star", "", state.ModelConfig{"a": "1"}, nil))
	h.must(state.RemoveCloud(ctx, h.s, founder, h.by, "star"))
	if there, err := state.Exists(context.Background(), h.s, state.DefaultsPath("star")); err != nil || there {
		t.Errorf("the defaults outlive their cloud: %v", err)
	}
}
