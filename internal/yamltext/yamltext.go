// Package yamltext writes values as YAML in the exact form that charms and scripts have met for ten years: that of
// version 2 of the Go library. It quotes y and 0x1f, does not indent lists in mappings, and folds after 80 columns.
// It is pure.
package yamltext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Fields is a mapping that is written in its own order, in YAML and JSON.
type Fields []Field

// A Field is one entry of Fields.
type Field struct {
	Name  string
	Value any
}

// MarshalJSON writes an object.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(field.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(field.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.Name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Marshal writes v as one document. A value is nil, a string, a bool, a number, Fields, or a map with
// strings as keys, or a slice, of values.
func Marshal(v any) ([]byte, error) {
	w := &writer{}
	n, err := read(v)
	if err != nil {
		return nil, err
	}
	if n.leaf() {
		w.scalar(n, 2, false)
	} else {
		w.block(n, 0)
	}
	w.endLine()
	return w.out, nil
}

// A node is a value in one of three forms.
type node struct {
	text   string // of a scalar, or "{}" or "[]"
	quoted bool   // the scalar is a string: its text may need quotes
	fields []entry
	items  []node
}

type entry struct {
	key   node
	value node
}

func (n node) leaf() bool { return len(n.fields) == 0 && len(n.items) == 0 }

func read(v any) (node, error) {
	switch v := v.(type) {
	case nil:
		return node{text: "null"}, nil
	case Fields:
		return readFields(v)
	case json.Number:
		return node{text: v.String()}, nil
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return node{text: "null"}, nil
		}
		return read(r.Elem().Interface())
	case reflect.String:
		return node{text: r.String(), quoted: true}, nil
	case reflect.Bool:
		return node{text: strconv.FormatBool(r.Bool())}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return node{text: strconv.FormatInt(r.Int(), 10)}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return node{text: strconv.FormatUint(r.Uint(), 10)}, nil
	case reflect.Float32, reflect.Float64:
		return node{text: float(r.Float())}, nil
	case reflect.Map:
		if r.Type().Key().Kind() == reflect.String {
			return readMap(r)
		}
	case reflect.Slice, reflect.Array:
		return readList(r)
	}
	return node{}, fmt.Errorf("no YAML for a value of type %T", v)
}

func float(f float64) string {
	switch text := strconv.FormatFloat(f, 'g', -1, 64); text {
	case "+Inf":
		return ".inf"
	case "-Inf":
		return "-.inf"
	case "NaN":
		return ".nan"
	default:
		return text
	}
}

func readMap(r reflect.Value) (node, error) {
	var f Fields
	for _, key := range r.MapKeys() {
		f = append(f, Field{key.String(), r.MapIndex(key).Interface()})
	}
	// The natural order has circles, as a1000 a10b a010: the same keys still always come in the same order.
	slices.SortFunc(f, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(f, func(a, b Field) int { return natural(a.Name, b.Name) })
	return readFields(f)
}

func readFields(f Fields) (node, error) {
	if len(f) == 0 {
		return node{text: "{}"}, nil
	}
	var n node
	for _, field := range f {
		value, err := read(field.Value)
		if err != nil {
			return node{}, fmt.Errorf("%s: %w", field.Name, err)
		}
		n.fields = append(n.fields, entry{node{text: field.Name, quoted: true}, value})
	}
	return n, nil
}

func readList(r reflect.Value) (node, error) {
	if r.Len() == 0 {
		return node{text: "[]"}, nil
	}
	var n node
	for i := range r.Len() {
		item, err := read(r.Index(i).Interface())
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	return n, nil
}

// A writer writes nodes and knows the column that it is in.
type writer struct {
	out    []byte
	column int
}

func (w *writer) put(text string) {
	for _, r := range text {
		w.column++
		if r == '\n' {
			w.column = 0
		}
	}
	w.out = append(w.out, text...)
}

// endLine goes to the start of a line.
func (w *writer) endLine() {
	if w.column > 0 {
		w.put("\n")
	}
}

// begin goes to column indent of a line of its own.
func (w *writer) begin(indent int) {
	w.endLine()
	w.put(strings.Repeat(" ", indent))
}

// block writes a mapping or a list whose lines begin at column indent. The first begins where the writer is.
func (w *writer) block(n node, indent int) {
	for i, e := range n.fields {
		if i > 0 {
			w.begin(indent)
		}
		w.entry(e, indent)
	}
	for i, item := range n.items {
		if i > 0 {
			w.begin(indent)
		}
		w.put("- ")
		w.inline(item, indent)
	}
}

// inline writes a node that begins on the line of the mark before it.
func (w *writer) inline(n node, indent int) {
	if n.leaf() {
		w.scalar(n, indent+2, false)
	} else {
		w.block(n, indent+2)
	}
}

// maxKey is the longest key that goes before its value on one line.
const maxKey = 128

func (w *writer) entry(e entry, indent int) {
	if len(e.key.text) > maxKey || strings.ContainsAny(e.key.text, "\r\n") {
		w.put("? ")
		w.scalar(e.key, indent+2, false)
		w.begin(indent)
		w.put(": ")
		w.inline(e.value, indent)
		return
	}
	w.scalar(e.key, indent+2, true)
	w.put(":")
	switch {
	case e.value.leaf():
		w.put(" ")
		w.scalar(e.value, indent+2, false)
	case len(e.value.items) > 0:
		w.begin(indent)
		w.block(e.value, indent)
	default:
		w.begin(indent + 2)
		w.block(e.value, indent+2)
	}
}
