package query

import (
	"maps"
	"slices"
	"strings"
)

// A scope is the names that a part of a query may use: those of forEach around it, and the fields of what it asks about.
type scope struct {
	about *Schema
	name  string
	of    *Schema
	outer *scope
}

func (s scope) lookup(name string) (Type, bool) {
	for in := &s; in != nil; in = in.outer {
		if in.name == name {
			return Type{Kind: One, Of: in.of}, true
		}
	}
	t, ok := s.about.Fields[name]
	return t, ok
}

// check finds the type of n, and what in it can never be asked.
func check(n node, s scope) (Type, error) {
	switch n := n.(type) {
	case *literal:
		return typeOf(n.value), nil
	case *word:
		t, ok := s.lookup(n.name)
		if !ok {
			return t, unknownField(n.from, s.about, n.name)
		}
		n.why = t.Why
		return t, nil
	case *member:
		of, err := check(n.of, s)
		if err != nil {
			return of, err
		}
		if of.Kind != One {
			return of, faultf(n.fieldAt, "%s has no fields", of)
		}
		t, ok := of.Of.Fields[n.field]
		if !ok {
			return t, unknownField(n.fieldAt, of.Of, n.field)
		}
		n.why = t.Why
		return t, nil
	case *index:
		of, key, err := both(n.of, n.key, s)
		switch {
		case err != nil:
			return of, err
		case of.Kind != Many:
			return of, faultf(n.from, "%s has no elements", of)
		case key.Kind != Text:
			return of, faultf(n.key.where().from, "the name of an element is a string, not %s", key)
		}
		return Type{Kind: One, Of: of.Of}, nil
	case *group:
		return check(n.x, s)
	case *not:
		_, err := check(n.x, s)
		return Type{Kind: Flag}, err
	case *binary:
		return Type{Kind: Flag}, checkBinary(n, s)
	case *each:
		return Type{Kind: Flag}, checkEach(n, s)
	}
	return checkCall(n.(*call), s)
}

func both(x, y node, s scope) (tx, ty Type, err error) {
	if tx, err = check(x, s); err == nil {
		ty, err = check(y, s)
	}
	return tx, ty, err
}

func checkBinary(n *binary, s scope) error {
	x, y, err := both(n.x, n.y, s)
	if err != nil || n.op == "&&" || n.op == "||" {
		return err
	}
	equal := n.op == "==" || n.op == "!="
	for _, side := range []struct {
		n node
		t Type
	}{{n.x, x}, {n.y, y}} {
		if k := side.t.Kind; k != Text && k != Number && (k != Flag || !equal) {
			return faultf(side.n.where().from, "%s cannot be compared with %s", side.t, n.op)
		}
	}
	if x.Kind != y.Kind {
		return faultf(n.y.where().from, "%s is compared with %s", x, y)
	}
	return nil
}

func checkEach(n *each, s scope) error {
	of, err := check(n.set, s)
	if err != nil {
		return err
	}
	if of.Kind != Many {
		return faultf(n.set.where().from, "forEach wants a set, not %s", of)
	}
	n.kind = of.Of.Name
	_, err = check(n.body, scope{about: s.about, name: n.param, of: of.Of, outer: &s})
	return err
}

// functions are those that take values, with the kinds that each argument may have. An empty list is any.
var functions = map[string][][]Kind{
	"len":        {{Text, Many}},
	"print":      {{}},
	"startsWith": {{Text}, {Text}},
	"endsWith":   {{Text}, {Text}},
	"int":        {{Text, Number, Flag}},
	"float":      {{Text, Number, Flag}},
	"string":     {{Text, Number, Flag}},
}

func checkCall(n *call, s scope) (Type, error) {
	want, ok := functions[n.function]
	if !ok {
		return Type{}, faultf(n.from, "there is no function %s: there are forEach, %s", n.function, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
	}
	if len(n.args) != len(want) {
		return Type{}, faultf(n.from, "%s takes %d arguments, not %d", n.function, len(want), len(n.args))
	}
	var first Type
	for i, arg := range n.args {
		t, err := check(arg, s)
		if err != nil {
			return t, err
		}
		if len(want[i]) > 0 && !slices.Contains(want[i], t.Kind) {
			return t, faultf(arg.where().from, "%s cannot take %s", n.function, t)
		}
		if i == 0 {
			first = t
		}
	}
	switch n.function {
	case "print":
		return first, nil
	case "string":
		return Type{Kind: Text}, nil
	case "startsWith", "endsWith":
		return Type{Kind: Flag}, nil
	}
	return Type{Kind: Number}, nil
}

func typeOf(literal any) Type {
	switch literal.(type) {
	case string:
		return Type{Kind: Text}
	case bool:
		return Type{Kind: Flag}
	}
	return Type{Kind: Number}
}

func unknownField(at int, of *Schema, name string) error {
	return faultf(at, "%s has no field %q: it has %s", of.Name, name, strings.Join(slices.Sorted(maps.Keys(of.Fields)), ", "))
}
