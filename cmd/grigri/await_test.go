package main

import (
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// awaitOut runs a command again until what it prints on stdout matches; with !, until it does not.
func awaitOut(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: awaitout PATTERN COMMAND...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out string
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			if _, failed := err.(*exec.ExitError); !failed {
				ts.Fatalf("%s: %v", strings.Join(args[1:], " "), err)
			}
		}
		out = ts.ReadFile("stdout")
		if want.MatchString(out) != neg {
			return
		}
	}
	ts.Fatalf("%s prints still\n%s", strings.Join(args[1:], " "), out)
}
