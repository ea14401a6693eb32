package userfile

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// A walk goes through a document and the type that it is to be decoded into, side by side.
type walk struct {
	tag      string // of the fields' names: yaml or json
	strict   bool
	lineless bool
	failed   bool // the decoder has refused the document: say why. Otherwise only what it lets through is looked for

	seen  int
	wrong []string
}

// maxValues bounds what a document's aliases can be made to mean.
const maxValues = 10000

func (w *walk) document(data []byte, out any) {
	var root yaml.Node
	if yaml.Unmarshal(data, &root) == nil && len(root.Content) > 0 {
		w.value(root.Content[0], reflect.TypeOf(out).Elem(), nil)
	}
}

func (w *walk) fail(n *yaml.Node, path []string, format string, args ...any) {
	at := strings.Join(path, ".")
	if at != "" {
		at += ": "
	}
	where := fmt.Sprintf("line %d: ", n.Line)
	if w.lineless {
		where = ""
	}
	w.wrong = append(w.wrong, where+at+fmt.Sprintf(format, args...))
}

func (w *walk) value(n *yaml.Node, t reflect.Type, path []string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if w.seen++; w.seen > maxValues {
		return
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.ShortTag() == "!!null" || t == reflect.TypeFor[yaml.Node]() || w.own(n, t, path) {
		return
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		if w.is(n, path, yaml.MappingNode, "keys with values") {
			w.mapping(n, t, path)
		}
	case reflect.Slice:
		if w.is(n, path, yaml.SequenceNode, "a list") {
			for i, item := range n.Content {
				w.value(item, t.Elem(), append(path[:len(path):len(path)], fmt.Sprint(i+1)))
			}
		}
	case reflect.String:
		if w.tag == "json" {
			w.tagged(n, path, "text", "!!str")
		} else {
			w.is(n, path, yaml.ScalarNode, "text")
		}
	case reflect.Bool:
		w.tagged(n, path, "true or false", "!!bool")
	case reflect.Int, reflect.Int64, reflect.Uint16, reflect.Uint64:
		w.tagged(n, path, "a whole number", "!!int")
	case reflect.Float64:
		w.tagged(n, path, "a number", "!!int", "!!float")
	}
}

// own has a type that decodes itself say what it does not take.
func (w *walk) own(n *yaml.Node, t reflect.Type, path []string) bool {
	v := reflect.New(t)
	if w.tag == "json" {
		_, reads := v.Interface().(json.Unmarshaler)
		_, readsText := v.Interface().(encoding.TextUnmarshaler)
		return reads || readsText
	}
	u, ok := v.Interface().(yaml.Unmarshaler)
	if !ok {
		return false
	}
	var several *yaml.TypeError
	switch err := u.UnmarshalYAML(n); {
	case errors.As(err, &several):
		w.fail(n, path, "a value of another kind is expected")
	case err != nil:
		w.fail(n, path, "%v", err)
	}
	return true
}

func (w *walk) is(n *yaml.Node, path []string, kind yaml.Kind, expected string) bool {
	if n.Kind != kind && w.failed {
		w.fail(n, path, "expected %s, got %s", expected, got(n))
	}
	return n.Kind == kind
}

func (w *walk) tagged(n *yaml.Node, path []string, expected string, tags ...string) {
	if w.is(n, path, yaml.ScalarNode, expected) && !slices.Contains(tags, n.ShortTag()) && w.failed {
		w.fail(n, path, "expected %s, got %s", expected, got(n))
	}
}

// got is what kind of value n is.
func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return "text"
}

func (w *walk) mapping(n *yaml.Node, t reflect.Type, path []string) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			continue
		}
		at := append(path[:len(path):len(path)], key.Value)
		if first := seen[key.Value]; first > 0 && w.failed {
			w.fail(key, at, "the key is there twice, first in line %d", first)
		}
		seen[key.Value] = key.Line
		of, known := w.under(t, key.Value)
		switch {
		case !known && w.strict && w.failed:
			w.fail(key, path, "unknown key %q: those that are allowed are %s", key.Value, strings.Join(w.keys(t), ", "))
		case known && of.Kind() == reflect.Pointer && value.ShortTag() == "!!null" && t.Kind() == reflect.Map:
			w.fail(key, at, "expected keys with values, got nothing")
		case known:
			w.value(value, of, at)
		}
	}
}

// under is the type of what t has under the key.
func (w *walk) under(t reflect.Type, key string) (of reflect.Type, known bool) {
	if t.Kind() == reflect.Map {
		return t.Elem(), true
	}
	var rest reflect.Type
	for f := range fields(t) {
		name, inline := w.name(f)
		switch {
		case inline && f.Type.Kind() == reflect.Map:
			rest = f.Type.Elem()
		case inline:
			if of, known := w.under(f.Type, key); known {
				return of, true
			}
		case name == key, name != "" && w.tag == "json" && strings.EqualFold(name, key):
			return f.Type, true
		}
	}
	return rest, rest != nil
}

// keys is the keys that t has, sorted.
func (w *walk) keys(t reflect.Type) []string {
	var out []string
	for f := range fields(t) {
		if name, inline := w.name(f); inline && f.Type.Kind() == reflect.Struct {
			out = append(out, w.keys(f.Type)...)
		} else if name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// name is the key of a field; empty for one that has none.
func (w *walk) name(f reflect.StructField) (name string, inline bool) {
	name, options, _ := strings.Cut(f.Tag.Get(w.tag), ",")
	switch {
	case !f.IsExported() && !f.Anonymous || name == "-":
		return "", false
	case strings.Contains(options, "inline"), w.tag == "json" && f.Anonymous && name == "":
		return "", true
	case name == "" && w.tag == "yaml":
		name = strings.ToLower(f.Name)
	case name == "":
		name = f.Name
	}
	return name, false
}

func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
