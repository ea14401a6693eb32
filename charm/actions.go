package charm

import "fmt"

// readActions reads actions.yaml. What an action says beside the keys we know is part of its JSON schema.
func readActions(v value) map[string]Action {
	out := map[string]Action{}
	for _, e := range v.entries() {
		if !ValidActionName(e.key) {
			e.value.fail("%q cannot be an action's name, expected lower-case letters, digits and hyphens, "+
				"no hyphen at the ends, and neither juju nor juju-...", e.key)
		}
		out[e.key] = readAction(e.key, e.value)
	}
	return out
}

func readAction(name string, v value) Action {
	a := Action{Description: "No description"}
	title := name
	schema := map[string]any{"type": "object", "properties": map[string]any{}}
	for _, e := range v.entries() {
		switch e.key {
		case "description":
			if !e.value.empty() {
				a.Description = e.value.text()
			}
		case "title":
			if !e.value.empty() {
				title = e.value.text()
			}
		case "parallel":
			a.Parallel = e.value.boolean()
		case "execution-group":
			a.ExecutionGroup = e.value.text()
		case "params":
			schema["properties"] = readParams(e.value)
		case "required":
			schema["required"] = readRequired(e.value)
		default:
			schema[e.key] = e.value.data()
		}
		refuseReferences(e.value, e.key)
	}
	schema["title"] = title
	schema["description"] = a.Description
	a.Schema = schema
	if v.doc.err == nil {
		if _, err := a.compile(); err != nil {
			v.fail("its parameters are no JSON schema: %v", err)
		}
	}
	return a
}

func readParams(v value) map[string]any {
	out := map[string]any{}
	for _, e := range v.entries() {
		e.value.entries() // each is a schema of its own
		out[e.key] = e.value.data()
		if out[e.key] == nil {
			out[e.key] = map[string]any{}
		}
	}
	return out
}

func readRequired(v value) []any {
	out := []any{}
	for _, item := range v.items() {
		out = append(out, item.text())
	}
	return out
}

// refuseReferences refuses schemas that need something outside the charm to be understood.
func refuseReferences(v value, key string) {
	if key == "$ref" || key == "$schema" {
		v.fail("%s is not supported in the schema of an action", key)
	}
	if v.empty() || v.isText() {
		return
	}
	if _, isMap := v.plain().(map[string]any); isMap {
		for _, e := range v.entries() {
			refuseReferences(e.value, e.key)
		}
		return
	}
	for i, item := range v.items() {
		refuseReferences(item, fmt.Sprint(i))
	}
}
