package charm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Input is the parameters that the action runs with: those given, the defaults of those that are not, at every depth, and
// whole numbers as int64. Its error names what the schema refuses and where. Parameters that no schema names are let
// through unless the action says additionalProperties: false, as before version 4 of Juju.
func (a Action) Input(given map[string]any) (map[string]any, error) {
	s, err := a.compile()
	if err != nil {
		return nil, err
	}
	full := withDefaults(a.Schema, given, true)
	if check(s, full) != nil { // an object made of nothing but defaults may lack what it requires: then it is left out
		full = withDefaults(a.Schema, given, false)
		if err := check(s, full); err != nil {
			return nil, fmt.Errorf("validation failed: %w", err)
		}
	}
	return plainNumbers(full).(map[string]any), nil
}

// compile checks that the schema is one.
func (a Action) compile() (*jsonschema.Schema, error) {
	const url = "action:schema"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	c.UseLoader(jsonschema.SchemeURLLoader{}) // nothing outside the charm is read
	if err := c.AddResource(url, lenient(a.Schema)); err != nil {
		return nil, err
	}
	s, err := c.Compile(url)
	var bad *jsonschema.SchemaValidationError
	if errors.As(err, &bad) {
		return nil, describe(bad.Err)
	}
	return s, err
}

// lenient is the schema without what says nothing and draft 4 forbids all the same: an empty list of required properties.
func lenient(schema map[string]any) map[string]any {
	out := maps.Clone(schema)
	for key, v := range out {
		switch v := v.(type) {
		case map[string]any:
			out[key] = lenient(v)
		case []any:
			if len(v) == 0 && key == "required" {
				delete(out, key)
			}
		}
	}
	return out
}

func check(s *jsonschema.Schema, params map[string]any) error {
	if err := s.Validate(params); err != nil {
		return describe(err)
	}
	return nil
}

// describe puts what is wrong into one line, ordered by where it is.
func describe(err error) error {
	var all *jsonschema.ValidationError
	if !errors.As(err, &all) {
		return err
	}
	var faults []string
	var collect func(*jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			collect(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		fault := e.BasicOutput().Error.String()
		if len(e.InstanceLocation) > 0 {
			fault = strings.Join(e.InstanceLocation, ".") + ": " + fault
		}
		faults = append(faults, fault)
	}
	collect(all)
	slices.Sort(faults)
	return errors.New(strings.Join(slices.Compact(faults), "; "))
}

// withDefaults is what is given, with the defaults of what is not. Make says whether objects that are not given are made of
// the defaults of their properties.
func withDefaults(schema, given map[string]any, make bool) map[string]any {
	out := maps.Clone(given)
	if out == nil {
		out = map[string]any{}
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, p := range properties {
		property, _ := p.(map[string]any)
		have, is := out[key]
		if !is && property["default"] != nil {
			have, is = property["default"], true
			out[key] = have
		}
		object, isObject := have.(map[string]any)
		if isObject {
			out[key] = withDefaults(property, object, make)
		} else if made := withDefaults(property, nil, make); make && !is && len(made) > 0 {
			out[key] = made
		}
	}
	return out
}

// maxWhole is where the whole numbers of float64 begin to have gaps.
const maxWhole = 1 << 53

// plainNumbers is a copy of v in which whole numbers, which JSON makes float64, are int64: charms see 1000000 and not 1e+06.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) && v < maxWhole && v > -maxWhole {
			return int64(v)
		}
	case int:
		return int64(v)
	case map[string]any:
		out := map[string]any{}
		for key, item := range v {
			out[key] = plainNumbers(item)
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			out = append(out, plainNumbers(item))
		}
		return out
	}
	return v
}

// ParseParams reads parameters of an action from a YAML document, which must be a map or empty.
func ParseParams(name string, data []byte) (map[string]any, error) {
	v := (&document{file: name, user: true}).parse("", data)
	v.entries()
	params, _ := v.data().(map[string]any)
	return params, v.doc.err
}

// ParseParam is what the text of one parameter means as YAML, in the way of the files of charms: 5 is a number, yes is true.
func ParseParam(name, text string) (any, error) {
	v := (&document{file: name, user: true}).parse("", []byte(text))
	return v.data(), v.doc.err
}

// data is the plain value, with the words that old YAML has for true and false.
func (v value) data() any {
	return v.tree(func(v value) any {
		if v.node.Style == 0 && v.node.Tag == "!!str" {
			switch v.node.Value {
			case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
				return true
			case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
				return false
			}
		}
		return v.typed()
	})
}
