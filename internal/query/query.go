// Package query is the language in which users say what they wait for: Juju's of wait-for. A query asks about one entity, such as a
// unit: whether life=="alive" && workload-status=="active". A query that does not hold says which parts of it do not, and why. It is pure.
package query

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An Entity is what a query asks about: its fields are a string, a bool, a float64, an Entity or a Set, as its schema says.
// A field that is not there, or nil, is nothing: it equals nothing, and is neither less nor greater than anything.
type Entity map[string]any

// A Set is entities by name.
type Set map[string]Entity

// A Kind is what a value can be.
type Kind int

// The kinds of values.
const (
	Text Kind = iota + 1
	Number
	Flag
	One  // an Entity
	Many // a Set
)

// A Type is the kind of a value, and of entities what they have.
type Type struct {
	Kind Kind
	Of   *Schema // of One and Many
	Why  string  // the field beside it that explains what it is, if there is one: it is told with it
}

// A Schema says which fields an entity has.
type Schema struct {
	Name   string // of what has them: "unit"
	Fields map[string]Type
}

// String is the type as errors name it.
func (t Type) String() string {
	switch t.Kind {
	case Text:
		return "a string"
	case Number:
		return "a number"
	case Flag:
		return "true or false"
	case One:
		return "one " + t.Of.Name
	}
	return "a set of " + t.Of.Name + "s"
}

// An Error is a fault in a query.
type Error struct {
	Column  int // in characters, from 1 on
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// A Query is a query that can be asked of entities of one schema. It does not change.
type Query struct {
	text string
	root node
}

// Parse reads a query about entities of the schema. Its error is an *Error: a query that was read can be asked.
func Parse(text string, about *Schema) (*Query, error) {
	q := &Query{text: text}
	tokens, err := lex(text)
	if err == nil {
		p := parser{tokens: tokens}
		if q.root, err = p.query(); err == nil {
			_, err = check(q.root, scope{about: about})
		}
	}
	if err != nil {
		f := err.(*fault)
		return nil, &Error{Column: utf8.RuneCountInString(text[:f.at]) + 1, Message: f.message}
	}
	return q, nil
}

// A fault is an Error that knows the byte and not the column.
type fault struct {
	at      int
	message string
}

func (f *fault) Error() string { return f.message }

func faultf(at int, format string, args ...any) error {
	return &fault{at: at, message: fmt.Sprintf(format, args...)}
}

// An Answer is what a query says of an entity.
type Answer struct {
	Holds   bool
	Unmet   []Unmet  // what keeps it from holding; nothing when it holds
	Printed []string // by print, in its order
}

// An Unmet is a part of a query that does not hold and would have to.
type Unmet struct {
	Of   string         `json:"of,omitempty"` // of which element of a set it does not hold: "unit web/0"
	Want string         `json:"want"`         // the part, as it was written
	Now  map[string]any `json:"now"`          // what it speaks of, as it was written, with the value; nil is nothing
}

// String is the part with the values: status=="active" (status is "waiting").
func (u Unmet) String() string {
	var values []string
	for _, of := range slices.Sorted(maps.Keys(u.Now)) {
		values = append(values, of+" is "+show(u.Now[of]))
	}
	text := u.Want
	if u.Of != "" {
		text = u.Of + ": " + text
	}
	if len(values) > 0 {
		text += " (" + strings.Join(values, ", ") + ")"
	}
	return text
}

// Ask is what the query says of e.
func (q *Query) Ask(e Entity) Answer {
	a := asking{text: q.text}
	var out Answer
	out.Holds = truth(a.value(q.root, env{about: e}))
	out.Printed = a.printed
	if !out.Holds {
		out.Unmet = a.unmet(q.root, env{about: e}, "")
	}
	return out
}

// show is a value as people read it.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case float64:
		return number(v)
	case bool:
		return strconv.FormatBool(v)
	case Set:
		return show(elements(v))
	case []string:
		var names []string
		for _, name := range v {
			names = append(names, strconv.Quote(name))
		}
		return "{" + strings.Join(names, ", ") + "}"
	case Entity:
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, name+": "+show(v[name]))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	return "not there"
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
