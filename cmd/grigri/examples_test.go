package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/grigri/grigri/internal/bundle"
)

// What the examples say of themselves is right, and the bundles' plans can be made: whether the charms work is shown by the demos.
func TestExamples(t *testing.T) {
	charms, err := filepath.Glob("../../examples/charms/*")
	if err != nil || len(charms) == 0 {
		t.Fatal(charms, err)
	}
	for _, path := range charms {
		if l, err := readCharm(path); err != nil {
			t.Error(err)
		} else if l.charm.Meta.Name != filepath.Base(path) {
			t.Errorf("%s calls itself %s", path, l.charm.Meta.Name)
		}
	}
	bundles, err := filepath.Glob("../../examples/bundles/*.yaml")
	if err != nil || len(bundles) == 0 {
		t.Fatal(bundles, err)
	}
	for _, path := range bundles {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b, warnings, err := bundle.Read(bundle.Source{Name: path, Dir: filepath.Dir(path), Data: data}, nil, os.ReadFile)
		if err != nil || len(warnings) > 0 {
			t.Error(err, warnings)
			continue
		}
		about, _, err := bundleCharms(b)
		if err != nil {
			t.Error(err)
			continue
		}
		if changes, err := bundle.Plan(b, about, bundle.Model{}, bundle.Options{}); err != nil || len(changes) == 0 {
			t.Error(changes, err)
		}
	}
}
