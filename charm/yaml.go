package charm

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds what the aliases of one document may grow to.
const maxNodes = 200_000

// A document is one YAML file while it is read. It keeps the first problem found, so that the code which
// walks over values has no error to pass on.
type document struct {
	file string
	made bool // the text is ours: its line numbers mean nothing to the user
	user bool // the document is a user's and not the charm's
	err  error
}

// A value is one place in a document. The zero node is a value that is not there, which is no problem by itself.
type value struct {
	doc  *document
	path string
	node *yaml.Node // never an alias
}

// An entry is one key of a map with its value.
type entry struct {
	key   string
	value value
}

// parse reads the first document in data. What the document holds is known to be a tree of bounded size.
func parse(file, prefix string, data []byte) value {
	return (&document{file: file}).parse(prefix, data)
}

func (d *document) parse(prefix string, data []byte) value {
	v := value{doc: d, path: prefix}
	var root yaml.Node
	err := yaml.Unmarshal(data, &root)
	if err != nil && strings.Contains(err.Error(), "tab character") {
		if yaml.Unmarshal(expandTabs(data), &root) == nil {
			err = nil
		}
	}
	if err != nil {
		v.fail("not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return v
	}
	if len(root.Content) == 0 {
		return v
	}
	left := maxNodes
	v.node = expand(root.Content[0], &left)
	if left <= 0 {
		v.node = nil
		v.fail("its aliases expand to more than %d values", maxNodes)
	}
	return v
}

// expandTabs turns the tabs that indent lines into spaces: descriptions in old charms have them.
func expandTabs(data []byte) []byte {
	lines := bytes.Split(data, []byte("\n"))
	for i, line := range lines {
		rest := bytes.TrimLeft(line, " \t")
		indent := bytes.ReplaceAll(line[:len(line)-len(rest)], []byte("\t"), []byte("        "))
		lines[i] = append(indent, rest...)
	}
	return bytes.Join(lines, []byte("\n"))
}

// expand returns a copy of n in which aliases and merge keys are replaced by what they stand for, and the last of
// several equal keys has won. It stops when left is used up.
func expand(n *yaml.Node, left *int) *yaml.Node {
	for *left > 0 && n.Kind == yaml.AliasNode {
		*left--
		n = n.Alias
	}
	*left--
	out := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line}
	if *left <= 0 {
		return out
	}
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			out.Content = append(out.Content, expand(child, left))
		}
		return out
	}
	var merged []*yaml.Node
	at := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := expand(n.Content[i], left), expand(n.Content[i+1], left)
		if key.Tag == "!!merge" {
			merged = append(merged, mergeable(val)...)
			continue
		}
		put(out, at, key, val, true)
	}
	for _, m := range merged {
		for i := 0; i+1 < len(m.Content); i += 2 {
			put(out, at, m.Content[i], m.Content[i+1], false)
		}
	}
	return out
}

// mergeable are the maps that a merge key names.
func mergeable(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.MappingNode {
		return []*yaml.Node{n}
	}
	var out []*yaml.Node
	for _, child := range n.Content {
		if child.Kind == yaml.MappingNode {
			out = append(out, child)
		}
	}
	return out
}

func put(m *yaml.Node, at map[string]int, key, val *yaml.Node, replace bool) {
	i, there := at[key.Value]
	switch {
	case !there:
		at[key.Value] = len(m.Content)
		m.Content = append(m.Content, key, val)
	case replace:
		m.Content[i+1] = val
	}
}

// fail records a problem with the value, unless the document has one already.
func (v value) fail(format string, args ...any) {
	if v.doc.err != nil {
		return
	}
	where := v.doc.file
	if v.node != nil && v.node.Line > 0 && !v.doc.made {
		where = fmt.Sprintf("%s:%d", where, v.node.Line)
	}
	if v.path != "" {
		where += ": " + v.path
	}
	v.doc.err = fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
	if !v.doc.user {
		v.doc.err = fmt.Errorf("%w: %w", ErrInvalid, v.doc.err)
	}
}

// invalid is an error that wraps ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// empty says that there is no value, or null.
func (v value) empty() bool {
	return v.node == nil || v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null"
}

func (v value) at(key string, node *yaml.Node) value {
	path := key
	if v.path != "" {
		path = v.path + "." + key
	}
	return value{doc: v.doc, path: path, node: node}
}

// entries are the keys of a map in the order of the document; an empty value has none.
func (v value) entries() []entry {
	if v.empty() {
		return nil
	}
	if v.node.Kind != yaml.MappingNode {
		v.fail("expected a map, got %s", v.kind())
		return nil
	}
	var out []entry
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i].Value
		out = append(out, entry{key, v.at(key, v.node.Content[i+1])})
	}
	return out
}

// get is the value of one key of a map.
func (v value) get(key string) value {
	for _, e := range v.entries() {
		if e.key == key {
			return e.value
		}
	}
	return v.at(key, nil)
}

// items are the elements of a list; an empty value has none, and anything else is a list of itself.
func (v value) items() []value {
	if v.empty() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		return []value{v}
	}
	var out []value
	for i, n := range v.node.Content {
		out = append(out, value{doc: v.doc, path: fmt.Sprintf("%s[%d]", v.path, i), node: n})
	}
	return out
}

// text is the value of a string, and "" when it is empty.
func (v value) text() string {
	if v.empty() {
		return ""
	}
	if v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!int" || v.node.Tag == "!!float" || v.node.Tag == "!!bool" {
		v.fail("expected text, got %s", v.kind())
	}
	return v.node.Value
}

// required is text that has to be there.
func (v value) required() string {
	if v.empty() {
		v.fail("missing, expected text")
	}
	return v.text()
}

// word is text that must be one of the words allowed, and byDefault when it is empty.
func (v value) word(byDefault string, allowed ...string) string {
	if v.empty() && byDefault != "" {
		return byDefault
	}
	text := v.required()
	for _, word := range allowed {
		if text == word {
			return text
		}
	}
	v.fail("%q is not known, expected %s", text, strings.Join(allowed, " or "))
	return ""
}

// scalar is the text of a value of whatever type, as it is written: 22.10 stays 22.10.
func (v value) scalar() string {
	if v.empty() {
		return ""
	}
	if v.node.Kind != yaml.ScalarNode {
		v.fail("expected text, got %s", v.kind())
	}
	return v.node.Value
}

// boolean is false when the value is empty. It knows the words of old YAML too: yes, no, on, off.
func (v value) boolean() bool {
	if v.empty() {
		return false
	}
	b, ok := parseBool(v.node.Value)
	if !ok || v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!int" {
		v.fail("expected true or false, got %s", v.kind())
	}
	return b
}

// integer is 0 when the value is empty.
func (v value) integer() int {
	if v.empty() {
		return 0
	}
	n, ok := v.plain().(int64)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		v.fail("expected a whole number, got %s", v.kind())
	}
	return int(n)
}

// kind says what the value is, for messages.
func (v value) kind() string {
	switch {
	case v.empty():
		return "nothing"
	case v.node.Kind == yaml.MappingNode:
		return "a map"
	case v.node.Kind == yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", v.node.Value)
}

// plain is the value as JSON could hold it: nil, bool, int64, float64, string, []any or map[string]any.
func (v value) plain() any { return v.tree(value.typed) }

// tree is the value with each scalar in it as scalar has it.
func (v value) tree(scalar func(value) any) any {
	if v.empty() {
		return nil
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for _, e := range v.entries() {
			out[e.key] = e.value.tree(scalar)
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, item := range v.items() {
			out = append(out, item.tree(scalar))
		}
		return out
	}
	return scalar(v)
}

// typed is a value that is no map and no list.
func (v value) typed() any {
	var scalar any
	switch v.node.Tag {
	case "!!int", "!!float", "!!bool":
		if err := v.node.Decode(&scalar); err != nil {
			v.fail("%q is not what its tag %s says", v.node.Value, v.node.Tag)
		}
	default:
		scalar = v.node.Value
	}
	switch n := scalar.(type) {
	case int:
		return int64(n)
	case uint64:
		return float64(n)
	case float64:
		if math.IsNaN(n) || math.IsInf(n, 0) {
			v.fail("expected a number that JSON can hold, got %q", v.node.Value)
			return nil
		}
	}
	return scalar
}
