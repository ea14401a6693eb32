package yamltext

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// testdata/version2.json is what version 2.4.0 of the library writes of each text: alone, and inside.
func TestVersion2(t *testing.T) {
	data, err := os.ReadFile("testdata/version2.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Text, Scalar, Inside string }
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		check(t, r.Text, r.Scalar)
		inner := map[string]any{r.Text: nil, "z": []any{[]string{r.Text, "b"}, map[string]any{}}}
		check(t, map[string]any{"k": r.Text, "l": []any{r.Text, inner}}, r.Inside)
	}
}

func check(t *testing.T, v any, want string) {
	t.Helper()
	got, err := Marshal(v)
	if err != nil || string(got) != want {
		t.Errorf("%q\ngot  %q, %v\nwant %q", v, got, err, want)
	}
}

func TestValues(t *testing.T) {
	type text string
	one := "x"
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, "null\n"},
		{(*string)(nil), "null\n"},
		{&one, "x\n"},
		{text("y"), "\"y\"\n"},
		{true, "true\n"},
		{int64(1000000), "1000000\n"},
		{uint8(7), "7\n"},
		{json.Number("1.50"), "1.50\n"},
		{1000000.0, "1e+06\n"},
		{123456789.0, "1.23456789e+08\n"},
		{1.0, "1\n"},
		{0.1, "0.1\n"},
		{math.Inf(1), ".inf\n"},
		{math.Inf(-1), "-.inf\n"},
		{math.NaN(), ".nan\n"},
		{"1e3", "1e3\n"}, // juju's own copy of the library leaves it bare
		{"\xff\xfe", "!!binary //4=\n"},
		{[]string{}, "[]\n"},
		{[]string(nil), "[]\n"},
		{map[string]string{}, "{}\n"},
		{map[string]string(nil), "{}\n"},
		{Fields{}, "{}\n"},
		{Fields{{"b", 1}, {"a", []string{"l"}}}, "b: 1\na:\n- l\n"},
		{[]any{map[string]any{"a": 1, "b": 2}}, "- a: 1\n  b: 2\n"},
		{map[string]any{"n": 1, "on": nil, "X": 2, "b": 3, "x10": 4, "x9": 5}, "X: 2\nb: 3\n\"n\": 1\n\"on\": null\nx9: 5\nx10: 4\n"},
		{map[string]any{"a": map[string]any{"b": map[string]any{"c": "d"}}}, "a:\n  b:\n    c: d\n"},
	} {
		check(t, c.value, c.want)
	}
	if _, err := Marshal(map[string]any{"a": struct{}{}}); err == nil || !strings.Contains(err.Error(), "a: ") {
		t.Errorf("a struct: %v; want an error that names its place", err)
	}
}

// The order is the library's own, for the same keys.
func TestOrder(t *testing.T) {
	want := []string{"_", "1", "9", "10", "B", "a", "a b", "a0", "a00", "a1", "a01", "a001", "a9b", "a10", "a010", "a100", "a1000", "web", "web-1", "web/9", "web/10", "é"}
	m := map[string]int{}
	for _, k := range want {
		m[k] = 0
	}
	text, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), `"`, ""), ": 0\n"), ": 0\n")
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestOrderIsStable(t *testing.T) {
	m := map[string]int{"a1000": 0, "a10b": 0, "a010": 0, "a10": 0, "b": 0}
	first, _ := Marshal(m)
	for range 50 {
		if again, _ := Marshal(m); string(again) != string(first) {
			t.Fatalf("now\n%s\nthen\n%s", first, again)
		}
	}
}

func TestFieldsInJSON(t *testing.T) {
	got, err := json.Marshal(Fields{{"b", "<&>"}, {"a", Fields{}}})
	if want := `{"b":"\u003c\u0026\u003e","a":{}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

// Whatever is written reads as what it was.
func FuzzMarshal(f *testing.F) {
	f.Add("a\n b \n\n", "y")
	f.Add(strings.Repeat("it's: ", 30), "? x")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) || a == b || a == "<<" || b == "<<" {
			return
		}
		value := map[string]any{a: []any{b, map[string]any{b: a, a: nil}}, b: map[string]any{"x": b}}
		text, err := Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if err := yaml.Unmarshal(text, &back); err != nil {
			t.Fatalf("%q: %v\n%s", value, err, text)
		}
		if !reflect.DeepEqual(value, back) {
			t.Errorf("%q came back as %q\n%s", value, back, text)
		}
	})
}
