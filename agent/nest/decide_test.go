package nest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	young := state.Container{Start: provider.StartRequest{Init: provider.Init{Script: []byte("#!/bin/sh\n")}}}
	grown, going, kept, asked := state.Container{}, state.Container{Gone: true}, state.Container{Kept: true}, young
	asked.Again = 1
	in := &provider.Instance{ID: "c0", State: provider.Running}
	var none, made, refused, ended state.ContainerReport
	made.ID, made.State = "c0", provider.Running
	refused.Error, refused.Retry = "no image", now.Add(time.Minute)
	ended.ID, ended.State = "c0", provider.Gone
	stuck := made
	stuck.Retry = now.Add(time.Minute)
	for _, c := range []struct {
		about string
		told  state.Container
		was   state.ContainerReport
		have  *provider.Instance
		want  task
		again time.Time
	}{
		{"new", young, none, nil, start, time.Time{}},
		{"somebody was interrupted", young, none, in, start, time.Time{}},
		{"it was refused", young, refused, nil, nothing, refused.Retry},
		{"it was refused, and a user does not want to wait", asked, refused, nil, start, time.Time{}},
		{"it is there", young, made, in, follow, time.Time{}},
		{"it is there, and has enrolled", grown, made, in, follow, time.Time{}},
		{"it is no more before it has enrolled", young, made, nil, start, time.Time{}},
		{"it is no more", grown, made, nil, gone, time.Time{}},
		{"that was said", grown, ended, nil, nothing, time.Time{}},
		{"it is to go", going, made, in, remove, time.Time{}},
		{"it does not go", going, stuck, in, nothing, stuck.Retry},
		{"it is to go and there is none", going, none, nil, gone, time.Time{}},
		{"it has gone", going, ended, nil, nothing, time.Time{}},
		{"it is kept", kept, made, in, nothing, time.Time{}},
	} {
		if got, again := decide(c.told, c.was, c.have, now); got != c.want || !again.Equal(c.again) {
			t.Errorf("%s: %d until %v, want %d until %v", c.about, got, again, c.want, c.again)
		}
	}
}

// What cannot be is told with the time of the next try, later each time, until a user asks or it succeeds.
func TestFailures(t *testing.T) {
	var told state.Container
	var r state.ContainerReport
	for _, wait := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		if r = failed(r, told, errors.New("no image"), now, firstRetry); !r.Retry.Equal(now.Add(wait*time.Second)) || r.Error != "no image" {
			t.Fatalf("after %d failures: %+v", r.Failures, r)
		}
	}
	told.Again = 1
	if r = failed(r, told, errors.New("no image"), now, firstRetry); r.Failures != 1 || r.Again != 1 {
		t.Errorf("asked again: %+v", r)
	}
	in := provider.Instance{ID: "c0", State: provider.Running}
	if r = found(r, told, in, now); r.Failures != 0 || r.Error != "" || !r.Retry.IsZero() || r.ID != "c0" {
		t.Errorf("found: %+v", r)
	}
	if same := found(r, told, in, now.Add(time.Hour)); !same.Since.Equal(now) {
		t.Errorf("no news is told: %+v", same)
	}
}

func TestFitIDs(t *testing.T) {
	for _, c := range []struct {
		about, ids, have, want string
		changed, fails         bool
	}{
		{"a machine of its own", "0 0 4294967295", "root:165536:10000001\n", "root:165536:10000001\n", false, false},
		{"a container, with what LXD's package takes", "0 100000 10000001", "debian:100000:65536\nroot:165536:10000001\n", "debian:100000:65536\nroot:165536:9834465\n", true, false},
		{"a container where all is well", "0 100000 10000001", "root:165536:9834465\n", "root:165536:9834465\n", false, false},
		{"a container where root has none", "0 100000 1000000", "", "root:65536:934464\n", true, false},
		{"root's begin too late", "0 100000 1000000", "root:1000000:65536\n", "root:65536:934464\n", true, false},
		{"a small container", "0 100000 65536", "root:165536:10000001\n", "root:165536:10000001\n", false, true},
	} {
		dir := t.TempDir()
		write := func(name, text string) string {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return file
		}
		ids, uid := write("uid_map", c.ids), write("subuid", c.have)
		changed, err := fitIDs(ids, uid)
		if changed != c.changed || (err != nil) != c.fails {
			t.Errorf("%s: changed %t, %v", c.about, changed, err)
		}
		if got, _ := os.ReadFile(uid); string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.about, got, c.want)
		}
	}
}
