package bundle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/grigri/grigri/internal/userfile"
)

// A Source is one file with a bundle or with overlays.
type Source struct {
	Name string // for errors
	Dir  string // what its relative paths are relative to
	Data []byte
}

// Read reads a bundle and lays the overlays over it: the further documents in its own file first, then the files in their order.
// Open returns the contents of a file that the bundle includes. Warnings are for the user. The error names everything that is wrong.
func Read(base Source, overlays []Source, open func(path string) ([]byte, error)) (b *Bundle, warnings []string, err error) {
	var all []map[string]any
	for _, s := range append([]Source{base}, overlays...) {
		docs, err := documents(s)
		if err != nil {
			return nil, nil, err
		}
		for _, doc := range docs {
			if err := settle(doc, s.Dir, open); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		all = append(all, docs...)
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("%s is empty: a bundle has applications", base.Name)
	}
	whole := all[0]
	for _, doc := range all[1:] {
		overlay(whole, doc)
	}
	r := &reader{bundle: &Bundle{Applications: map[string]*Application{}, Machines: map[string]*Machine{}}}
	r.read(whole)
	r.verify()
	if len(r.wrong) > 0 {
		return nil, r.warnings, errors.New("the provided bundle has the following errors:\n" + strings.Join(r.wrong, "\n"))
	}
	return r.bundle, r.warnings, nil
}

func documents(s Source) ([]map[string]any, error) {
	var out []map[string]any
	for d := yaml.NewDecoder(bytes.NewReader(s.Data)); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("cannot read the bundle in %w", userfile.Explain(s.Name, s.Data, &doc, err))
		case doc != nil:
			out = append(out, doc)
		}
	}
}

// settle makes what a document says of other files independent of where the document lies.
func settle(doc map[string]any, dir string, open func(string) ([]byte, error)) error {
	local := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		path = filepath.Join(dir, path)
		if !filepath.IsAbs(path) && !strings.HasPrefix(path, "..") {
			path = "./" + path // as a charm's path is written
		}
		return path
	}
	apps, _ := doc["applications"].(map[string]any)
	for name, v := range apps {
		app, _ := v.(map[string]any)
		if charm, ok := app["charm"].(string); ok && (strings.HasPrefix(charm, ".") || strings.HasPrefix(charm, "/")) {
			app["charm"] = local(charm)
		}
		if resources, ok := app["resources"].(map[string]any); ok {
			for k, v := range resources {
				if path, ok := v.(string); ok && (strings.HasPrefix(path, ".") || strings.HasPrefix(path, "/")) {
					resources[k] = local(path)
				}
			}
		}
		for _, part := range []string{"options", "annotations"} {
			values, _ := app[part].(map[string]any)
			for k, v := range values {
				text, _ := v.(string)
				kind, path, ok := strings.Cut(text, "://")
				if !ok || kind != "include-file" && kind != "include-base64" {
					continue
				}
				data, err := open(local(path))
				if err != nil {
					return fmt.Errorf("application %q: %s %q includes a file that cannot be read: %w", name, strings.TrimSuffix(part, "s"), k, err)
				}
				values[k] = string(data)
				if kind == "include-base64" {
					values[k] = base64.StdEncoding.EncodeToString(data)
				}
			}
		}
	}
	return nil
}

// keyed is the parts of an application that are laid over key by key. Everything else is replaced.
var keyed = []string{"options", "annotations", "bindings", "storage", "resources", "devices", "offers", "exposed-endpoints"}

// overlay lays over on base.
func overlay(base, over map[string]any) {
	for key, value := range over {
		switch key {
		case "applications", "saas":
			overlayAll(base, key, value)
		case "relations":
			list, _ := base[key].([]any)
			more, _ := value.([]any)
			base[key] = append(slices.Clone(list), more...) // doubles are found when they are read
		default:
			base[key] = value
		}
	}
}

func overlayAll(base map[string]any, key string, value any) {
	have, _ := base[key].(map[string]any)
	if have == nil {
		have = map[string]any{}
		base[key] = have
	}
	over, _ := value.(map[string]any)
	for name, v := range over {
		mine, _ := have[name].(map[string]any)
		theirs, _ := v.(map[string]any)
		switch {
		case len(theirs) == 0 && v == nil || theirs != nil && len(theirs) == 0:
			delete(have, name)
			base["relations"] = without(base["relations"], name)
		case mine == nil || theirs == nil:
			have[name] = v
		default:
			overlayOne(mine, theirs)
		}
	}
}

func overlayOne(mine, theirs map[string]any) {
	for k, v := range theirs {
		over, isMap := v.(map[string]any)
		if !slices.Contains(keyed, k) || !isMap || len(over) == 0 {
			if v == nil || isMap && len(over) == 0 {
				delete(mine, k)
			} else {
				mine[k] = v
			}
			continue
		}
		have, _ := mine[k].(map[string]any)
		have = maps.Clone(have)
		if have == nil {
			have = map[string]any{}
		}
		for key, value := range over {
			if value == nil {
				delete(have, key)
			} else {
				have[key] = value
			}
		}
		mine[k] = have
	}
}

// without is the relations in which the application is not.
func without(relations any, app string) any {
	list, _ := relations.([]any)
	is := func(side any) bool {
		text, _ := side.(string)
		name, _, _ := strings.Cut(text, ":")
		return name == app
	}
	var out []any
	for _, r := range list {
		sides, _ := r.([]any)
		if slices.ContainsFunc(sides, is) {
			continue
		}
		if len(sides) == 2 { // one to many
			if many, ok := sides[1].([]any); ok {
				r = []any{sides[0], slices.DeleteFunc(slices.Clone(many), is)}
			}
		}
		out = append(out, r)
	}
	return out
}

// A reader turns a document into a Bundle and collects what is wrong with it.
type reader struct {
	bundle   *Bundle
	wrong    []string
	warnings []string
}

func (r *reader) fail(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

func (r *reader) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// informative is the keys that are for people.
var informative = []string{"name", "description", "summary", "tags", "docs", "website", "source", "issues", "variables", "assumes", "type"}

func (r *reader) read(doc map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		value := doc[key]
		switch key {
		case "applications", "machines":
			all, ok := value.(map[string]any)
			if !ok && value != nil {
				r.fail("%s must be a map by name", key)
			}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				if key == "applications" {
					r.bundle.Applications[name] = decode[Application](r, fmt.Sprintf("application %q", name), all[name])
				} else {
					r.bundle.Machines[name] = decode[Machine](r, fmt.Sprintf("machine %q", name), all[name])
				}
			}
		case "relations":
			r.relations(value)
		case "default-base":
			r.bundle.DefaultBase, _ = scalar(value)
		case "bundle":
			if text, _ := scalar(value); text != "" {
				r.fail("bundle type %q: only bundles for machines can be deployed here", text)
			}
		case "series":
			r.warn("series is ignored: write default-base")
		case "services":
			r.fail("services is the name of long ago: write applications")
		case "saas":
			if all, _ := value.(map[string]any); len(all) > 0 {
				r.fail("saas: relations with applications of other models are not supported")
			}
		default:
			if !slices.Contains(informative, key) {
				r.fail("unknown key %q", key)
			}
		}
	}
	if name, ok := scalar(doc["name"]); ok {
		r.bundle.Name = name
	}
}

// decode reads one thing, and takes note of what is wrong with it.
func decode[T any](r *reader, about string, value any) *T {
	out := new(T)
	if value == nil {
		return out
	}
	data, err := yaml.Marshal(value)
	if err != nil {
		r.fail("%s: %v", about, err)
		return out
	}
	for _, text := range userfile.Values(data, out) {
		r.fail("%s: %s", about, text)
	}
	return out
}

func (r *reader) relations(value any) {
	list, ok := value.([]any)
	if !ok && value != nil {
		r.fail("relations must be a list of pairs")
	}
	seen := map[Relation]bool{}
	add := func(a, b any) {
		x, ok := a.(string)
		y, ok2 := b.(string)
		if !ok || !ok2 {
			r.fail("relation [%v, %v] must be two endpoints", a, b)
			return
		}
		rel := Relation{x, y}
		if !seen[rel] && !seen[Relation{y, x}] {
			r.bundle.Relations = append(r.bundle.Relations, rel)
		}
		seen[rel] = true
	}
	for _, item := range list {
		sides, _ := item.([]any)
		if len(sides) != 2 {
			r.fail("relation %v must have two endpoints", item)
			continue
		}
		many, ok := sides[1].([]any) // of long ago: one to many
		if !ok {
			many = sides[1:]
		}
		for _, side := range many {
			add(sides[0], side)
		}
	}
}
