package controller

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// A told is a provider that remembers what it was opened with, and whether it was closed.
type told struct {
	provider.Provider
	spec   provider.Spec
	closed bool
}

func (p *told) Close() error { p.closed = true; return nil }

func TestProvidersFollowTheTree(t *testing.T) {
	ctx, store, key := t.Context(), memory.New().Connect(memory.Controller), state.Key("key")
	by := state.By{User: "admin", Now: time.Now()}
	own := state.ModelID("own")
	commit := func(tx state.Txn, err error) {
		t.Helper()
		if err == nil {
			_, err = store.Commit(ctx, tx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	commit(state.Bootstrap(ctx, store, by, state.Founding{Controller: state.Controller{Name: "c", Cloud: "local"}, Admin: state.User{Name: "admin"}, Model: state.NewModel{UUID: own}}))
	cloud := provider.Cloud{Name: "moon", Type: "ec2", Regions: []provider.Region{{Name: "near"}}}
	commit(state.AddCloud(ctx, store, own, by, cloud))
	var refuse error
	p := &providers{store: store, key: key, log: slog.New(slog.DiscardHandler), open: func(s provider.Spec) (provider.Provider, error) {
		if refuse != nil {
			return nil, refuse
		}
		return &told{spec: s}, nil
	}}
	place := state.Place{Cloud: "moon", Region: "near", Credential: "admin/work"}
	var missing *state.NotFoundError
	if _, err := p.of(ctx, place); !errors.As(err, &missing) || missing.Kind != "credential" {
		t.Fatalf("without the credential: %v", err)
	}
	if _, err := p.of(ctx, state.Place{Cloud: "sun"}); !errors.As(err, &missing) || missing.Kind != "cloud" {
		t.Fatalf("without the cloud: %v", err)
	}
	secret := provider.Credential{Name: "work", AuthType: "access-key", Attributes: map[string]string{"secret-key": "hush"}}
	commit(state.PutCredential(ctx, store, own, by, key, "moon", "admin", secret))
	get := func() *told {
		t.Helper()
		got, err := p.of(ctx, place)
		if err != nil {
			t.Fatal(err)
		}
		return got.(*told)
	}
	first := get()
	if first != get() || first.spec.Region != "near" || first.spec.Credential.Attributes["secret-key"] != "hush" || first.spec.Cloud.Type != "ec2" {
		t.Fatalf("opened with %+v, or twice", first.spec)
	}
	secret.Attributes["secret-key"] = "other"
	commit(state.PutCredential(ctx, store, own, by, key, "moon", "admin", secret))
	refuse = errors.New("no")
	if _, err := p.of(ctx, place); !errors.Is(err, refuse) || first.closed {
		t.Fatalf("when the new one cannot be opened: %v, closed %t", err, first.closed)
	}
	refuse = nil
	second := get()
	if second == first || !first.closed || second.spec.Credential.Attributes["secret-key"] != "other" {
		t.Fatalf("after a change of the credential: %+v", second.spec)
	}
	cloud.Endpoint = "https://moon"
	commit(state.UpdateCloud(ctx, store, own, by, cloud))
	if third := get(); third == second || third.spec.Endpoint() != "https://moon" {
		t.Fatalf("after a change of the cloud: %+v", third.spec)
	}
	last := get()
	p.closeAll()
	if !last.closed {
		t.Error("it is left open")
	}
}

// A tree made before there were clouds gets what it lacks, once.
func TestAnOlderTreeIsCompleted(t *testing.T) {
	store := memory.New().Connect(memory.Controller)
	var tx state.Txn
	for _, path := range state.Roots() {
		if path != state.CloudsPath {
			tx.Create(path, nil)
		}
	}
	if _, err := store.Commit(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := ensureRoots(t.Context(), store, state.Controller{Cloud: "local"}); err != nil {
			t.Fatal(err)
		}
		rec, err := state.Read[provider.Cloud](t.Context(), store, state.CloudPath("local"))
		if err != nil || rec.Value.Type != "local" {
			t.Fatalf("got %+v, %v", rec.Value, err)
		}
	}
}
