package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A form is how a charm of one generation is laid out.
type form struct {
	name  string
	lay   func(testing.TB, string, []byte) // lays the script out in a charm's directory
	argv0 func(event string) string        // what runs for hooks/install or actions/set, in the charm's directory
}

// events is every hook and action that the charm has.
func events() []string {
	var out []string
	for _, name := range []string{"install", "start", "config-changed", "upgrade-charm", "update-status", "stop", "remove", "leader-elected", "leader-settings-changed",
		"data-storage-attached", "data-storage-detaching", "secret-changed", "secret-remove", "secret-rotate", "secret-expired"} {
		out = append(out, "hooks/"+name)
	}
	for _, endpoint := range []string{"site", "logs", "db", "cluster", "info"} {
		for _, event := range []string{"created", "joined", "changed", "departed", "broken"} {
			out = append(out, "hooks/"+endpoint+"-relation-"+event)
		}
	}
	return append(out, "actions/set", "actions/do")
}

func itself(event string) string { return event }

// forms is the three generations. Of each the charm is the same script.
func forms() []form {
	return []form{
		{"classic", func(t testing.TB, dir string, script []byte) { // links to one script, as charms in shell and with charmhelpers
			write(t, dir, "hooks/record", script, 0o755)
			for _, e := range events() {
				link(t, dir, e, "../hooks/record")
			}
		}, itself},
		{"reactive", func(t testing.TB, dir string, script []byte) { // a file for each hook that has the framework do it; hooks need no x
			write(t, dir, "lib/record.sh", script, 0o644)
			write(t, dir, "layer.yaml", []byte("includes: ['layer:basic']\n"), 0o644)
			for _, e := range events() {
				mode := os.FileMode(0o644)
				if strings.HasPrefix(e, "actions/") {
					mode = 0o755
				}
				write(t, dir, e, []byte("#!/bin/sh\n. \"$CHARM_DIR/lib/record.sh\"\n"), mode)
			}
		}, itself},
		{"dispatch", func(t testing.TB, dir string, script []byte) { // one program for everything, as charms with ops
			write(t, dir, "src/charm", script, 0o755)
			link(t, dir, "dispatch", "src/charm")
			write(t, dir, "hooks/install", []byte("#!/bin/sh\nexit 9\n"), 0o755) // it is not run
		}, func(string) string { return "dispatch" }},
	}
}

// makeCharm writes the charm into a new directory. Version tells apart its revisions.
func (f form) makeCharm(t testing.TB, where, metadata, version string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{metadata, "config.yaml", "actions.yaml"} {
		content, err := os.ReadFile("testdata/charm/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if name == metadata {
			name = "metadata.yaml"
		}
		write(t, dir, name, content, 0o644)
	}
	script, err := os.ReadFile("testdata/charm/record")
	if err != nil {
		t.Fatal(err)
	}
	f.lay(t, dir, script)
	write(t, dir, "record", script, 0o755) // for commands
	write(t, dir, "where", []byte(where), 0o644)
	write(t, dir, "version", []byte(version), 0o644)
	return dir
}

func write(t testing.TB, dir, name string, content []byte, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, dir, name, target string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
