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
	models   map[state.ModelID]heir
	defaults map[string]state.ModelConfig // by region; "" is of all
}

// An heir is what a model should have.
type heir struct {
	region string
	config state.ModelConfig
	from   state.Inherited
}

const founder = state.ModelID("founder")

func newHeirs(t tb) *heirs {
	h := &heirs{tb: t, s: memory.New().Connect(memory.Controller), by: state.By{User: "ada", Now: time.Unix(1e9, 0).UTC()}, models: map[state.ModelID]heir{},
		defaults: map[string]state.ModelConfig{"": {"a": "boot"}, "near": {}, "far": {}}}
	moon := provider.Cloud{Name: "moon", Type: "moon", Regions: []provider.Region{{Name: "near"}, {Name: "far"}}}
	h.must(state.Bootstrap(ctx, h.s, h.by, state.Founding{Controller: state.Controller{Name: "c", Cloud: "moon", Region: "near"}, Admin: state.User{Name: "admin"}, Cloud: moon,
		Model: state.NewModel{UUID: founder, Config: state.ModelConfig{"b": "its own"}}, Defaults: state.ModelConfig{"a": "boot"}}))
	h.models[founder] = heir{"near", state.ModelConfig{"a": "boot", "b": "its own"}, state.Inherited{"a": state.FromController}}
	h.must(state.AddCloud(ctx, h.s, founder, h.by, provider.Cloud{Name: "sun", Type: "sun"}))
	h.add("elsewhere", "sun", "", nil)
	h.models["elsewhere"] = heir{"", state.ModelConfig{}, state.Inherited{}} // nothing here is its concern
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
	h.models[id] = heir{region, state.ModelConfig{}, state.Inherited{}}
	h.change(id, config, []string{"a", "b", "c"})
}

// change is what a change of the model's settings should do: what is set is its own, what is reset is what the defaults say now.
func (h *heirs) change(id state.ModelID, set state.ModelConfig, reset []string) {
	m := h.models[id]
	for _, key := range reset {
		delete(m.config, key)
		delete(m.from, key)
		for source, defaults := range map[string]state.ModelConfig{state.FromController: h.defaults[""], state.FromRegion: h.defaults[m.region]} {
			if value, ok := defaults[key]; ok && m.from[key] != state.FromRegion {
				m.config[key], m.from[key] = value, source
			}
		}
	}
	for key, value := range set {
		m.config[key] = value
		delete(m.from, key)
	}
}

// check holds that each model has what it should, and knows from where.
func (h *heirs) check() {
	h.Helper()
	for id, want := range h.models {
		config, err := state.Read[state.ModelConfig](ctx, h.s, id.ConfigPath())
		if err != nil {
			h.Fatalf("%v", err)
		}
		from, err := state.ReadIf[state.Inherited](ctx, h.s, id.InheritedPath())
		if err != nil {
			h.Fatalf("%v", err)
		}
		if !maps.Equal(config.Value, want.config) || !maps.Equal(from.Value, want.from) {
			h.Fatalf("model %s in %q has %v from %v, should have %v from %v", id, want.region, config.Value, from.Value, want.config, want.from)
		}
	}
}

// TestModelsInherit makes changes of settings and of defaults at random: each model has what the defaults were when it was made, or its setting reset.
func TestModelsInherit(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKnS1ZOjYkQ1uK4YxMVkXcN8cxaCAa3EY1o1dQ7hGJpd ann"
	rapid.Check(t, func(t *rapid.T) {
		h := newHeirs(t)
		edit := func(t *rapid.T) (state.ModelConfig, []string) {
			key, value := rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{"1", "2", ""})
			return rapid.MapOfN(key, value, 0, 2).Draw(t, "set"), rapid.SliceOfN(key, 0, 2).Draw(t, "reset")
		}
		model := func(t *rapid.T) state.ModelID {
			return rapid.SampledFrom(slices.Sorted(maps.Keys(h.models))).Draw(t, "model")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { h.check() },
			"add": func(t *rapid.T) {
				if len(h.models) < 6 {
					set, _ := edit(t)
					h.add(state.ModelID(fmt.Sprintf("m%d", len(h.models))), "moon", rapid.SampledFrom([]string{"near", "far"}).Draw(t, "region"), set)
				}
			},
			"model": func(t *rapid.T) {
				id := model(t)
				if id == "elsewhere" {
					t.Skip()
				}
				set, reset := edit(t)
				tx, _, err := state.SetModelConfig(ctx, h.s, id, h.by, set, reset)
				h.must(tx, err)
				h.change(id, set, reset)
			},
			"keys": func(t *rapid.T) {
				id := model(t)
				if _, ok := h.models[id].config["authorized-keys"]; ok {
					tx, _, err := state.ChangeSSHKeys(ctx, h.s, id, h.by, nil, []string{"ann"})
					h.must(tx, err)
					delete(h.models[id].config, "authorized-keys")
				} else {
					tx, _, err := state.ChangeSSHKeys(ctx, h.s, id, h.by, []string{key}, nil)
					h.must(tx, err)
					h.models[id].config["authorized-keys"] = key + "\n"
				}
			},
			"defaults": func(t *rapid.T) {
				region := rapid.SampledFrom([]string{"", "near", "far"}).Draw(t, "region")
				set, reset := edit(t)
				h.must(state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", region, set, reset))
				for _, key := range reset {
					delete(h.defaults[region], key)
				}
				maps.Copy(h.defaults[region], set)
				if tx, err := state.SetModelDefaults(ctx, h.s, founder, h.by, "moon", region, set, nil); err != nil || len(tx.Ops) > 0 {
					t.Fatalf("what is so already is a change: %+v, %v", tx.Ops, err)
				}
			},
		})
	})
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
