package query

import "maps"

// unmet is what keeps n, which does not hold, from holding. Of is the elements that forEach around it is at.
func (a *asking) unmet(n node, e env, of string) []Unmet {
	switch n := n.(type) {
	case *group:
		return a.unmet(n.x, e, of)
	case *binary:
		if n.op == "&&" {
			return append(a.ifUnmet(n.x, e, of), a.ifUnmet(n.y, e, of)...)
		}
	case *each:
		set, ok := a.value(n.set, e).(Set)
		if !ok {
			return []Unmet{{Of: of, Want: a.source(n), Now: a.values(n.set, e)}}
		}
		var out []Unmet
		for _, name := range elements(set) {
			element := n.kind + " " + name
			if of != "" {
				element = of + ", " + element
			}
			out = append(out, a.ifUnmet(n.body, n.inner(e, set[name]), element)...)
		}
		return out
	}
	return []Unmet{{Of: of, Want: a.source(n), Now: a.values(n, e)}}
}

func (a *asking) ifUnmet(n node, e env, of string) []Unmet {
	if truth(a.value(n, e)) {
		return nil
	}
	return a.unmet(n, e, of)
}

// values is what n speaks of, as it is written there, with its values and what explains them.
func (a *asking) values(n node, e env) map[string]any {
	out := map[string]any{}
	switch n := n.(type) {
	case *literal:
	case *word:
		out[n.name] = plain(a.value(n, e))
		because(out, n.why, e.about[n.why])
	case *member:
		of := a.source(n.of)
		out[of+"."+n.field] = plain(a.value(n, e))
		entity, _ := a.value(n.of, e).(Entity)
		because(out, of+"."+n.why, entity[n.why])
	case *group:
		return a.values(n.x, e)
	case *not:
		return a.values(n.x, e)
	case *binary:
		maps.Copy(out, a.values(n.x, e))
		maps.Copy(out, a.values(n.y, e))
	case *call:
		if n.function != "startsWith" && n.function != "endsWith" && n.function != "print" {
			out[a.source(n)] = plain(a.value(n, e))
			break
		}
		for _, arg := range n.args {
			maps.Copy(out, a.values(arg, e))
		}
	default:
		out[a.source(n)] = plain(a.value(n, e))
	}
	return out
}

// because adds the explanation of a value, if there is one.
func because(values map[string]any, name string, why any) {
	if text, _ := why.(string); text != "" {
		values[name] = text
	}
}

// plain is v without what is in entities: of a set the names, of an entity that it is there.
func plain(v any) any {
	switch v := v.(type) {
	case Set:
		return elements(v)
	case Entity:
		return true
	}
	return v
}
