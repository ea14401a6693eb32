package serve_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// Older ops learns from the help of storage-get which storage its hook is about.
func TestStorageHelp(t *testing.T) {
	w := newWorld(t)
	w.begin(hooks.Hook{Kind: hooks.StorageAttached, Storage: "data/0"})
	found := regexp.MustCompile(`(?m)^-s\s+\(=\s+(\S+)\)`).FindStringSubmatch(w.must(t, "storage-get", "--help"))
	if len(found) != 2 || found[1] != "data/0" {
		t.Errorf("ops finds %q in\n%s", found, w.must(t, "storage-get", "--help"))
	}
}

// TestSecretFromTwoPlaces: what stands on the command line takes the place of what the file says of the same key, in whichever form.
func TestSecretFromTwoPlaces(t *testing.T) {
	for _, test := range []struct{ file, arg string }{
		{"password: old", "password#base64=bmV3"},
		{"password: old", "password=new"},
		{"password#base64: b2xk", "password=new"},
		{"password#base64: b2xk", "password#base64=bmV3"},
	} {
		w := newWorld(t)
		w.unit.Leads = true
		given := filepath.Join(t.TempDir(), "given")
		if err := os.WriteFile(given, []byte(test.file+"\nother: kept\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		id := strings.TrimSpace(w.must(t, "secret-add", "--file", given, test.arg))
		if got := w.must(t, "secret-get", id, "--format", "json"); got != `{"other":"kept","password":"new"}`+"\n" {
			t.Errorf("%s and %s: %s", test.file, test.arg, got)
		}
	}
}

// A value is masked however it is written: by the tools, by a shell that traces, by a library that logs.
func TestMaskKnowsAValueInEveryForm(t *testing.T) {
	w := newWorld(t)
	w.unit.Leads = true
	w.must(t, "secret-add", `password=a&b"c'd\e<f`, "pem=-----BEGIN\nline two\n")
	id := strings.TrimSpace(w.must(t, "secret-add", "other=x y: é"))
	for _, line := range []string{
		`a&b"c'd\e<f`,
		`{"password":"a\u0026b\"c'd\\e\u003cf"}`, // secret-get --format json
		`{"password": "a&b\"c'd\\e<f"}`,          // Python's json
		`password: 'a&b"c''d\e<f'`,               // YAML
		`+ mysql '-pa&b"c'\''d\e<f'`,             // bash -x
		`{'password': 'a&b"c\'d\\e<f'}`,          // Python's repr
		`YSZiImMnZFxlPGY=`,                       // base64
		`{"pem":"-----BEGIN\nline two\n"}`,
	} {
		got := w.session.Mask(line)
		if !strings.Contains(got, "*****") || strings.Contains(got, "b\\\"c") || strings.Contains(got, `b"c`) || strings.Contains(got, "line two") {
			t.Errorf("%s is %s", line, got)
		}
	}
	for _, args := range [][]string{{"secret-get", id, "--format", "json"}, {"secret-get", id}} {
		if got := w.session.Mask(w.must(t, args...)); !strings.Contains(got, "*****") || strings.Contains(got, "x y") {
			t.Errorf("%q says %s", args, got)
		}
	}
	long := strings.Repeat("correct horse battery staple ", 300)
	w.must(t, "secret-add", "phrase="+long)
	for _, part := range []string{long[:4096], long[4096:], "phrase: " + long[:70], "  " + long[70:150], "phrase: " + long[:70] + "\n  " + long[70:150] + "\nkey: value",
		"the end: " + long[:16], long[len(long)-16:] + " is the end"} {
		if got := w.session.Mask(part); !strings.Contains(got, "*****") || strings.Contains(got, "horse") || strings.Contains(got, "staple") {
			t.Errorf("a line that was cut is %.60s", got)
		}
	}
	w.must(t, "secret-add", "pin=123")
	if got := w.session.Mask("from 1234 to 123"); got != "from 1234 to 123" { // what was missing would tell
		t.Errorf("a value that is short is masked: %s", got)
	}
}

// Nothing that a hook says by the way, to a log, to status or to the record of an action, has a secret in it.
func TestMessagesAreMasked(t *testing.T) {
	w := newWorld(t)
	w.unit.Leads = true
	w.begin(hooks.Hook{Kind: hooks.Action, Action: "backup"})
	w.must(t, "secret-add", "password=hunter22")
	w.must(t, "status-set", "active", "it is hunter22")
	w.must(t, "status-set", "--application", "active", "it is hunter22")
	w.must(t, "application-version-set", "hunter22.1")
	w.must(t, "juju-log", "it is hunter22")
	w.must(t, "action-log", "it is hunter22")
	w.must(t, "action-fail", "it is hunter22")
	said := fmt.Sprint(w.unit.Workload, w.unit.Everyone, w.unit.Version, w.unit.Logs, w.unit.Actions, w.session.End().Action)
	if strings.Contains(said, "hunter22") || strings.Count(said, "*****") != 6 {
		t.Error(said)
	}
}

// The relation that a hook is about is known to its tools when it is no more.
func TestTheLastHookOfARelation(t *testing.T) {
	w := newWorld(t)
	w.begin(hooks.Hook{Kind: hooks.RelationBroken, Endpoint: "db", Relation: 99, RemoteApp: "mysql"})
	if got := w.must(t, "relation-list", "--app"); got != "mysql\n" {
		t.Errorf("its other side is %q", got)
	}
}

func TestAnActionWithoutParameters(t *testing.T) {
	w := newWorld(t)
	w.begin(hooks.Hook{Kind: hooks.Action, Action: "backup"})
	if got := w.must(t, "action-get", "--format", "json") + w.must(t, "action-get", "x", "--format", "json"); got != "{}\nnull\n" {
		t.Errorf("it has %q", got)
	}
}

func TestAStatusThatWasNeverSet(t *testing.T) {
	w := newWorld(t)
	w.unit.Workload = state.StatusInfo{}
	if got := w.must(t, "status-get"); got != "unknown\n" {
		t.Errorf("it is %q", got)
	}
}
