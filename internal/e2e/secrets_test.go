package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// userValue is what the users' secret of the environment holds.
const userValue = "open-by-the-user-alone"

// share adds two applications that share a secret and trace all that they do, and a secret of users.
func (e *environment) share() {
	e.Helper()
	e.must("deploy", "./testdata/sharer", "giver")
	e.must("deploy", "./testdata/sharer", "taker")
	e.must("integrate", "giver:share", "taker:take")
	uri := strings.TrimSpace(e.must("add-secret", "mine", "password="+userValue))
	e.must("grant-secret", uri, "taker")
	e.must("update-secret", "mine", "--info", "of a user")
}

// testValues looks for the values of secrets everywhere but where they belong: nowhere.
func (v *vault) testValues(t *testing.T) {
	if out := v.must("run", "taker/0", "check"); !strings.Contains(out, `length: "40"`) {
		t.Fatalf("the secret was not shared: %s", out)
	}
	if out := v.must("show-secret", "mine", "--reveal"); !strings.Contains(out, userValue) {
		t.Fatalf("the user's secret is not kept: %s", out)
	}
	sum := sha256.Sum256([]byte("sesame\n"))
	shared := hex.EncodeToString(sum[:])[:40]
	var forms [][]byte
	for _, value := range []string{userValue, shared} {
		coded := base64.StdEncoding.EncodeToString([]byte(value))
		forms = append(forms, []byte(value), []byte(coded[:len(coded)-4]), []byte(hex.EncodeToString([]byte(value))))
	}
	look := func(where string, text []byte) {
		for _, form := range forms {
			if i := bytes.Index(text, form); i >= 0 {
				t.Errorf("%s holds a secret: %q", where, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
	nodes := 0
	v.walk(t, func(path string) {
		data, _, err := v.tree.Get(path)
		if err == nil {
			nodes++
			look("the node "+path, data)
		}
	})
	files := 0
	err := filepath.WalkDir(v.data, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // a file may go meanwhile
		}
		if data, err := os.ReadFile(name); err == nil {
			files++
			look(name, data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status", "--format", "json"}, {"status", "--relations"}, {"show-unit", "giver/0"}, {"show-unit", "taker/0"}, {"show-application", "taker"},
		{"secrets", "--format", "json"}, {"show-secret", "mine"}, {"operations", "--format", "yaml"}, {"debug-log", "--replay", "--no-tail", "--level", "TRACE"}} {
		out := v.must(args...)
		if len(out) < 20 {
			t.Errorf("%v prints only %q", args, out)
		}
		look(fmt.Sprint(args), []byte(out))
	}
	if log := v.must("debug-log", "--replay", "--no-tail", "--include", "taker/0"); strings.Count(log, "*****") < 4 {
		t.Errorf("the charm traces what it does, and its log has nothing masked:\n%s", log)
	}
	if nodes < 100 || files < 50 {
		t.Errorf("only %d nodes and %d files were looked at", nodes, files)
	}
}
