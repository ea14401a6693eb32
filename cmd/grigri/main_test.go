package main

import (
	"bytes"
	"strings"
	"testing"
)

// run runs the client with a store of the test's own and returns what it said.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errw bytes.Buffer
	status = Main(append([]string{"juju"}, args...), strings.NewReader(""), &out, &errw)
	return status, out.String(), errw.String()
}

func freshStore(t *testing.T) {
	t.Helper()
	t.Setenv("GRIGRI_DATA", t.TempDir())
	for _, name := range []string{"MODEL", "CONTROLLER"} {
		t.Setenv("GRIGRI_"+name, "")
		t.Setenv("JUJU_"+name, "")
	}
}

// Every command answers -h, refuses unknown flags with status 2, and says nothing on stdout when it fails.
func TestEveryCommandKeepsTheContract(t *testing.T) {
	freshStore(t)
	root := (&cli{name: "juju"}).root()
	for _, cmd := range root.Commands() {
		name := cmd.Name()
		if name == "no-help" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if status, out, errw := run(t, name, "-h"); status != 0 || !strings.Contains(out, "Usage:") || errw != "" {
				t.Errorf("-h: status %d, stdout %q, stderr %q", status, out, errw)
			}
			if cmd.Short == "" || !strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("its purpose is not a sentence: %q", cmd.Short)
			}
			if name == "help" {
				return
			}
			status, out, errw := run(t, name, "--bogus")
			if status != 2 || out != "" || errw != "ERROR option provided but not defined: --bogus\n" {
				t.Errorf("--bogus: status %d, stdout %q, stderr %q", status, out, errw)
			}
			if cmd.Flags().Lookup("format") != nil {
				if status, out, errw := run(t, name, "--format", "bogus", "a", "b"); status != 2 || out != "" || !strings.HasPrefix(errw, "ERROR ") {
					t.Errorf("--format bogus: status %d, stdout %q, stderr %q", status, out, errw)
				}
			}
		})
	}
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	freshStore(t)
	for _, test := range []struct {
		line   string
		status int
		stderr string
	}{
		{"nosuch", 1, `juju: "nosuch" is not a juju command. See "juju --help".`},
		{"statu", 1, "Did you mean:\n\tstatus"},
		{"deploy", 2, "ERROR no charm specified"},
		{"deploy a b c", 2, `ERROR unrecognized args: ["c"]`},
		{"deploy ./x -n", 2, "ERROR option needs an argument: -n"},
		{"deploy ./x -n two", 2, `ERROR invalid value "two" for option --num-units`},
		{"deploy ./x --constraints color=red", 2, `ERROR unknown constraint "color"`},
		{"deploy ./x --to 1,2,3", 2, "ERROR --to names 3 places for 1 units"},
		{"deploy ./nothere", 1, `ERROR no charm was found at "./nothere"`},
		{"deploy mysql", 1, "there is no charm store"},
		{"integrate a", 2, "ERROR a relation must involve two applications"},
		{"remove-relation a", 2, "ERROR a relation must involve two applications"},
		{"add-unit web -n 0", 2, "ERROR --num-units must be a positive integer"},
		{"resolved", 2, "ERROR no unit specified"},
		{"resolved web", 2, `ERROR "web" is not a valid unit name`},
		{"exec ls", 2, "ERROR You must specify a target"},
		{"exec -u a/0 --background --wait 1s ls", 2, "ERROR cannot specify both"},
		{"exec -u a/0 --wait soon ls", 2, `ERROR invalid value "soon" for option --wait`},
		{"run", 2, "ERROR no unit specified"},
		{"run backup", 2, "ERROR no unit specified"},
		{"run web/0", 2, "ERROR no action specified"},
		{"run web/0 Back_up", 2, `ERROR invalid unit or action name "Back_up"`},
		{"run web/x backup", 2, `ERROR invalid unit or action name "web/x"`},
		{"run web/0 juju-run", 2, `ERROR invalid unit or action name "juju-run"`},
		{"run web/0 backup to", 2, `ERROR argument "to" must be of the form key.key.key...=value`},
		{"run web/0 backup a..b=1", 2, `ERROR argument "a..b=1" must be of the form`},
		{"run web/0 backup a=[1", 2, "--string-args"},
		{"run web/0 backup --params nosuch.yaml", 1, "ERROR read the parameters: open nosuch.yaml"},
		{"run web/0 backup --wait 1s --background", 2, "ERROR cannot specify both --wait and --background"},
		{"actions", 2, "ERROR no application name specified"},
		{"actions web --schema --format tabular", 2, "ERROR full schema not compatible with tabular output"},
		{"show-action web", 2, "ERROR an application and an action are needed"},
		{"show-task x", 2, `ERROR "x" is not a valid task ID`},
		{"show-task 1 --wait 1s --watch", 2, "ERROR cannot specify both --wait and --watch"},
		{"show-operation x", 2, `ERROR "x" is not a valid operation ID`},
		{"cancel-task 1 x", 2, `ERROR "x" is not a valid task ID`},
		{"operations --status odd", 2, `ERROR invalid status "odd"`},
		{"operations --limit -1", 2, "ERROR --limit and --offset must not be negative"},
		{"config web a=1 b", 2, "ERROR cannot show a setting and change settings at once"},
		{"config web a b", 2, "ERROR can only show one setting"},
		{"config web a=1 a=2", 2, `ERROR key "a" is given twice`},
		{"add-model Shop", 2, `ERROR "Shop" is not a valid name: model names may only contain lowercase letters, digits and hyphens`},
		{"debug-log --tail --no-tail", 2, "ERROR cannot specify both --tail and --no-tail"},
		{"debug-log -l LOUD", 2, `ERROR level value "LOUD" is not one of`},
		{"destroy-model m --no-wait", 2, "ERROR --no-wait without --force not valid"},
		{"refresh a --path x --switch y", 2, "ERROR cannot specify both --path and --switch"},
		{"status", 1, `ERROR no controllers registered; create one with "juju bootstrap"`},
		{"bootstrap nowhere c", 1, `ERROR unknown cloud "nowhere"`},
		{"bootstrap local -x", 2, "ERROR option provided but not defined: -x"},
		{"help nosuch", 1, "ERROR unknown command or topic for nosuch"},
	} {
		status, out, errw := run(t, strings.Fields(test.line)...)
		if status != test.status || out != "" || !strings.Contains(errw, test.stderr) {
			t.Errorf("%s:\n\tstatus %d, want %d\n\tstdout %q\n\tstderr %q, want %q in it", test.line, status, test.status, out, errw, test.stderr)
		}
	}
}

func TestSwitch(t *testing.T) {
	freshStore(t)
	s, err := (&cli{name: "grigri"}).openStore()
	if err != nil {
		t.Fatal(err)
	}
	err = s.update(func(b *book) error {
		for _, c := range []string{"one", "two"} {
			b.controllers.Controllers[c] = &controllerEntry{Endpoints: []string{"127.0.0.1:1"}, CA: "none"}
			b.accounts.Controllers[c] = account{User: "admin"}
			b.modelsOf(c).Models["admin/shop"] = modelEntry{UUID: "aaaaaaaa-" + c}
			b.modelsOf(c).Models["admin/test"] = modelEntry{UUID: "bbbbbbbb-" + c}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ to, says string }{
		{"one", " -> one (controller)"},
		{"shop", "one (controller) -> one:admin/shop"},
		{"two:test", "one:admin/shop -> two:admin/test"},
		{"two:test", "two:admin/test (no change)"},
		{"-", "two:admin/test -> one:admin/shop"},
		{"two:admin/shop", "one:admin/shop -> two:admin/shop"},
	} {
		if status, out, errw := run(t, "switch", step.to); status != 0 || out != "" || strings.TrimRight(errw, "\n") != step.says {
			t.Fatalf("switch %s: status %d, stdout %q, stderr %q, want %q", step.to, status, out, errw, step.says)
		}
	}
	if status, out, _ := run(t, "switch"); status != 0 || out != "two:admin/shop\n" {
		t.Fatalf("switch: status %d, stdout %q", status, out)
	}
	if status, _, errw := run(t, "switch", "nosuch"); status != 1 || !strings.Contains(errw, `"nosuch" is not the name of a model or controller`) {
		t.Fatalf("switch nosuch: status %d, stderr %q", status, errw)
	}
	t.Setenv("JUJU_MODEL", "one:test")
	if status, _, errw := run(t, "switch", "one"); status != 1 || !strings.Contains(errw, "one:test") {
		t.Fatalf("switch against the environment: status %d, stderr %q", status, errw)
	}
	tgt, err := (&cli{name: "juju"}).openModel("one:bbbbbb")
	if err != nil || tgt.model != "admin/test" {
		t.Fatalf("a model by the beginning of its UUID: %+v, %v", tgt, err)
	}
}

func TestManyClientsShareAStore(t *testing.T) {
	freshStore(t)
	s, err := (&cli{name: "grigri"}).openStore()
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	done := make(chan error, n)
	for i := range n {
		go func() {
			done <- s.update(func(b *book) error {
				b.modelsOf("c").Models[string(rune('a'+i))] = modelEntry{UUID: "u"}
				return nil
			})
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	b, err := s.read()
	if err != nil || len(b.modelsOf("c").Models) != n {
		t.Fatalf("%d models were kept of %d, error %v", len(b.modelsOf("c").Models), n, err)
	}
}

// What a command does not take is the user's mistake, whichever command it is.
func TestSurplusArguments(t *testing.T) {
	freshStore(t)
	for _, name := range []string{"storage", "storage-pools", "secrets", "operations", "controllers", "models", "whoami", "version"} {
		if status, out, errw := run(t, name, "a", "b", "c"); status != 2 || out != "" || !strings.HasPrefix(errw, "ERROR unrecognized args: [") {
			t.Errorf("%s: status %d, stdout %q, stderr %q", name, status, out, errw)
		}
	}
}
