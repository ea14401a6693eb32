package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/charm"
)

// fillParams is the parameters of an action with its defaults, or says what in them the action's schema refuses.
// Of the schema it heeds the properties of the whole, with their types, what is required, and additionalProperties.
func fillParams(name string, a charm.Action, given map[string]any) (map[string]any, error) {
	out := maps.Clone(given)
	if out == nil {
		out = map[string]any{}
	}
	properties, _ := a.Schema["properties"].(map[string]any)
	for key, p := range properties {
		property, _ := p.(map[string]any)
		if _, ok := out[key]; !ok && property["default"] != nil {
			out[key] = property["default"]
		}
	}
	required, _ := a.Schema["required"].([]any)
	for _, r := range required {
		if key, _ := r.(string); out[key] == nil {
			return nil, invalid(fmt.Sprintf("validation failed: (root) : %q property is missing and required, given %s", key, text(given)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(out)) {
		property, known := properties[key].(map[string]any)
		if !known && a.Schema["additionalProperties"] == false {
			return nil, invalid(fmt.Sprintf("validation failed: (root) : additional property %q is not allowed by action %q", key, name))
		}
		if want, _ := property["type"].(string); known && want != "" && !isType(out[key], want) {
			return nil, invalid(fmt.Sprintf("validation failed: (root).%s : must be of type %s, given %s", key, want, text(out[key])))
		}
	}
	return out, nil
}

// isType says whether a value of JSON is of a type of JSON schema.
func isType(v any, want string) bool {
	switch v := v.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case int, int64:
		return want == "number" || want == "integer"
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return true
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}
