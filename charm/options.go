package charm

import "gopkg.in/yaml.v3"

func (v value) isText() bool {
	return !v.empty() && v.node.Kind == yaml.ScalarNode
}

// readOptions reads config.yaml. An empty file is no options; a file that says something must have options.
func readOptions(v value) Options {
	out := Options{}
	if v.empty() {
		return out
	}
	all := v.get("options")
	if all.node == nil {
		all.fail("missing, expected a map of options, which may be {}")
	}
	for _, e := range all.entries() {
		o := Option{
			Type:        readType(e.value.get("type")),
			Description: e.value.get("description").scalar(),
		}
		if e.key == "" {
			e.value.fail("an option needs a name")
		}
		o.Default = readDefault(o, e.value.get("default"))
		out[e.key] = o
	}
	return out
}

func readType(v value) string {
	switch v.scalar() {
	case "integer":
		return Int
	case "str":
		return String
	}
	return v.word(String, String, Int, Float, Boolean, Secret)
}

func readDefault(o Option, v value) any {
	if v.empty() {
		return nil
	}
	got := v.plain()
	if o.Type == Boolean && v.isText() && v.node.Tag != "!!int" {
		if b, ok := parseBool(v.node.Value); ok {
			return b
		}
	}
	typed, ok := o.coerce(got)
	if !ok {
		v.fail("expected %s as the option's type says, got %s", o.Type, v.kind())
	}
	return typed
}
