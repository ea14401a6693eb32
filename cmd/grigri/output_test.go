package main

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestYAMLKeepsTextWhatItIs(t *testing.T) {
	for value, want := range map[string]string{
		"web": "web", "yes": `"yes"`, "off": `"off"`, "n": `"n"`, "10": `"10"`, "1:30": `"1:30"`, "2026-11-23": `"2026-11-23"`, "true": `"true"`,
		"": `""`, "a: b": "'a: b'", "two\nlines\n": "|\n  two\n  lines",
	} {
		var b strings.Builder
		if err := writeYAML(&b, map[string]any{"v": value}); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(b.String()); got != "v: "+want {
			t.Errorf("%q is written as %s, want v: %s", value, got, want)
		}
		var back map[string]string
		if err := yaml.Unmarshal([]byte(b.String()), &back); err != nil || back["v"] != value {
			t.Errorf("%q is read back as %q, %v", value, back["v"], err)
		}
	}
}
