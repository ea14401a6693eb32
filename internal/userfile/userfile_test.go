package userfile

import (
	"fmt"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

type shop struct {
	Name   string               `yaml:"name" json:"name"`
	Count  int                  `yaml:"count,omitempty" json:"count"`
	Open   bool                 `yaml:"open" json:"open"`
	Price  float64              `yaml:"price" json:"price"`
	Goods  []string             `yaml:"goods" json:"goods"`
	Parts  map[string]*part     `yaml:"parts" json:"parts"`
	Words  words                `yaml:"words" json:"-"`
	Any    map[string]yaml.Node `yaml:"any" json:"-"`
	Nested struct {
		Deep []map[string]int `yaml:"deep" json:"deep"`
	} `yaml:"nested" json:"nested"`
	Common common `yaml:",inline" json:"common"`
}

type (
	common struct {
		Shared string         `yaml:"shared" json:"shared"`
		Rest   map[string]int `yaml:"-" json:"-"`
	}
	part struct {
		Size  int            `yaml:"size" json:"size"`
		Other map[string]int `yaml:",inline" json:"-"`
	}
	words []string
)

func (w *words) UnmarshalYAML(n *yaml.Node) error {
	var list []string
	if n.Kind == yaml.ScalarNode {
		list = []string{n.Value}
	} else if err := n.Decode(&list); err != nil {
		return err
	}
	*w = list
	return nil
}

func TestWhatIsWrong(t *testing.T) {
	const secret = "hunter2"
	for _, test := range []struct{ text, want string }{
		{"name: a\ncount: 3\nparts: {a: {size: 1, b: 2}}\nshared: x\nany: {a: [1]}\nwords: one", ""},
		{"", ""},
		{"# nothing", ""},
		{"name: null", ""},
		{"base: &b {size: 3}\nparts: {a: *b, c: {<<: *b}}", ""},
		{"name: [" + secret + "]", "f: line 1: name: expected text, got a list"},
		{"\ncount: " + secret, "f: line 2: count: expected a whole number, got text"},
		{"open: 1", "f: line 1: open: expected true or false, got a number"},
		{"price: true", "f: line 1: price: expected a number, got true or false"},
		{"goods: {a: b}", "f: line 1: goods: expected a list, got keys with values"},
		{"goods: [a, [b]]", "f: line 1: goods.2: expected text, got a list"},
		{"parts:\n  a: " + secret, "f: line 2: parts.a: expected keys with values, got text"},
		{"parts:\n  a:\n", "f: line 2: parts.a: expected keys with values, got nothing"},
		{"parts:\n  a: {size: 1, b: " + secret + "}", "f: line 2: parts.a.b: expected a whole number, got text"},
		{"nested:\n  deep:\n  - a: 1\n  - b: [2]", "f: line 4: nested.deep.2.b: expected a whole number, got a list"},
		{"shared: []", "f: line 1: shared: expected text, got a list"},
		{"words: {a: b}", "f: line 1: words: a value of another kind is expected"},
		{"name: a\nname: b", "f: line 2: name: the key is there twice, first in line 1"},
		{"any: 3\ncount: x", "f:\n  line 1: any: expected keys with values, got a number\n  line 2: count: expected a whole number, got text"},
		{"- a", "f: line 1: expected keys with values, got a list"},
		{secret, "f: line 1: expected keys with values, got text"},
		{"name: [a", "f: line 1: did not find expected ',' or ']'"},
	} {
		err := YAML("f", []byte(test.text), new(shop))
		if got := message(err); got != test.want {
			t.Errorf("%q:\ngot  %s\nwant %s", test.text, got, test.want)
		} else if strings.Contains(got, secret) {
			t.Errorf("%q: the value is in %s", test.text, got)
		}
	}
}

// TestAliases: a document of which aliases make much more than it is ends all the same.
func TestAliases(t *testing.T) {
	text := "any:\n  a: &a {a: 1}\n"
	for c := 'b'; c < 'k'; c++ {
		text += fmt.Sprintf("  %c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10), ", "))
	}
	err := YAML("f", []byte(text+"goods: {}\nnested: {deep: *j}"), new(shop))
	if got := message(err); !strings.Contains(got, "line 12: goods: expected a list") || strings.Count(got, "\n") > maxWrong+1 {
		t.Errorf("got %s", got)
	}
}

func TestStrict(t *testing.T) {
	text := []byte("parts: {a: {size: x}}\ncolour: red\n")
	const known = `unknown key "colour": those that are allowed are any, count, goods, name, nested, open, parts, price, shared, words`
	want := "f:\n  line 1: parts.a.size: expected a whole number, got text\n  line 2: " + known
	if got := message(StrictYAML("f", text, new(shop))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := strings.Join(Values(text, new(shop)), "; "); got != "parts.a.size: expected a whole number, got text; "+known {
		t.Errorf("got %s", got)
	}
	if err := YAML("f", []byte("colour: red"), new(shop)); err != nil {
		t.Errorf("what is not strict refuses a key: %v", err)
	}
}

func TestJSON(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{"name": "a", "Count": 3}`, ""},
		{"{\n\t\"count\": \"x\"}", "f: line 2: count: expected a whole number, got text"},
		{`{"parts": {"a": {"size": []}}}`, "f: line 1: parts.a.size: expected a whole number, got a list"},
		{`[]`, "f: line 1: expected keys with values, got a list"},
		{"{\"name\": \"a\",\n}", "f: line 2: not JSON: invalid character '}' looking for beginning of object key string"},
		{``, "f: line 1: not JSON: unexpected end of JSON input"},
		{`{"name": 3}`, "f: line 1: name: expected text, got a number"},
	} {
		if got := message(JSON("f", []byte(test.text), new(shop))); got != test.want {
			t.Errorf("%q:\ngot  %s\nwant %s", test.text, got, test.want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzYAML: what the decoder refuses is an error that names no type of Go, and nothing panics.
func FuzzYAML(f *testing.F) {
	f.Add("name: a\nparts: {a: {size: 1}}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		if err := StrictYAML("f", []byte(text), new(shop)); err != nil && (strings.Contains(err.Error(), "userfile.") || strings.Contains(err.Error(), "map[")) && !strings.Contains(text, "map[") {
			t.Errorf("%q: %v", text, err)
		}
		_ = JSON("f", []byte(text), new(shop))
	})
}
