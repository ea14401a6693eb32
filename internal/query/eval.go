package query

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An env is what the names of a part of a query mean.
type env struct {
	about Entity
	name  string
	of    Entity
	outer *env
}

func (e env) lookup(name string) any {
	for in := &e; in != nil; in = in.outer {
		if in.name == name {
			return in.of
		}
	}
	return e.about[name]
}

// An asking is one evaluation of a query.
type asking struct {
	text    string
	printed []string
}

// value is the value of n, which check has passed. It is nil where something that n speaks of is not there.
func (a *asking) value(n node, e env) any {
	switch n := n.(type) {
	case *literal:
		return n.value
	case *word:
		return there(e.lookup(n.name))
	case *member:
		of, _ := a.value(n.of, e).(Entity)
		return there(of[n.field])
	case *index:
		of, _ := a.value(n.of, e).(Set)
		key, _ := a.value(n.key, e).(string)
		return there(of[key])
	case *group:
		return a.value(n.x, e)
	case *not:
		return !truth(a.value(n.x, e))
	case *binary:
		switch n.op {
		case "&&":
			return truth(a.value(n.x, e)) && truth(a.value(n.y, e))
		case "||":
			return truth(a.value(n.x, e)) || truth(a.value(n.y, e))
		}
		return compare(n.op, a.value(n.x, e), a.value(n.y, e))
	case *each:
		set, ok := a.value(n.set, e).(Set)
		for _, name := range elements(set) {
			ok = ok && truth(a.value(n.body, n.inner(e, set[name])))
		}
		return ok
	}
	return a.call(n.(*call), e)
}

// there is v, or nil where v is an entity or a set that is not there.
func there(v any) any {
	switch v := v.(type) {
	case Entity:
		if v == nil {
			return nil
		}
	case Set:
		if v == nil {
			return nil
		}
	}
	return v
}

// inner is e within n, for one element.
func (n *each) inner(e env, element Entity) env {
	return env{about: e.about, name: n.param, of: element, outer: &e}
}

func elements(s Set) []string { return slices.Sorted(maps.Keys(s)) }

// truth is what a value means where something is to hold: what is empty, zero or not there does not.
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0
	case Set:
		return len(v) > 0
	}
	return true
}

// compare compares two values of the same kind, or nil.
func compare(op string, x, y any) bool {
	if op == "!=" {
		return x != y
	}
	if x == nil || y == nil {
		return false
	}
	if op == "==" {
		return x == y
	}
	order := 0
	switch x := x.(type) {
	case string:
		order = strings.Compare(x, y.(string))
	case float64:
		order = cmp.Compare(x, y.(float64))
	}
	switch op {
	case "<":
		return order < 0
	case ">":
		return order > 0
	case "<=":
		return order <= 0
	}
	return order >= 0
}

func (a *asking) call(n *call, e env) any {
	args := make([]any, len(n.args))
	for i, arg := range n.args {
		args[i] = a.value(arg, e)
	}
	switch n.function {
	case "print":
		a.printed = append(a.printed, a.source(n.args[0])+" is "+show(args[0]))
		return args[0]
	case "startsWith", "endsWith":
		text, ok := args[0].(string)
		part, also := args[1].(string)
		if n.function == "endsWith" {
			return ok && also && strings.HasSuffix(text, part)
		}
		return ok && also && strings.HasPrefix(text, part)
	}
	switch v := args[0].(type) {
	case nil:
		return nil
	case Set:
		return float64(len(v))
	case string:
		if n.function == "len" {
			return float64(utf8.RuneCountInString(v))
		}
	}
	return convert(n.function, args[0])
}

// convert is v as an int, a float or a string; nil where v is a text that is no number.
func convert(to string, v any) any {
	f := 0.0
	switch v := v.(type) {
	case string:
		if to == "string" {
			return v
		}
		var err error
		if f, err = strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
	case float64:
		f = v
		if to == "string" {
			return number(v)
		}
	case bool:
		if to == "string" {
			return strconv.FormatBool(v)
		}
		if v {
			f = 1
		}
	}
	if to == "int" {
		return math.Trunc(f)
	}
	return f
}

func (a *asking) source(n node) string { return a.text[n.where().from:n.where().to] }
