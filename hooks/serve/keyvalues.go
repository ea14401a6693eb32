package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// fileFlag is the option of tools that read pairs from a file as well.
func fileFlag() flag {
	return flag{names: "file", value: "<path>", usage: "Read pairs from a YAML or JSON file as well; - is standard input"}
}

// pairs is the key=value arguments, over those of --file.
func (c *call) pairs() (map[string]string, error) {
	given, err := keyValues(c.args)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	if name := c.text("file"); name != "" {
		text, err := c.input(name)
		if err != nil {
			return nil, err
		}
		if out, err = decodePairs(text); err != nil {
			return nil, fmt.Errorf("read settings from %s: %w", name, err)
		}
	}
	maps.Copy(out, given)
	for k, v := range out {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("cannot set %q: it is not valid UTF-8 text", k)
		}
	}
	return out, nil
}

func keyValues(args []string) (map[string]string, error) {
	out := map[string]string{}
	for _, arg := range args {
		k, v, ok := strings.Cut(arg, "=")
		if !ok || k == "" {
			return nil, usage(`expected "key=value", got %q`, arg)
		}
		if _, twice := out[k]; twice {
			return nil, usage("key %q specified more than once", k)
		}
		out[k] = v
	}
	return out, nil
}

// decodePairs reads a mapping of names to scalars. A scalar keeps the text that it is written with; null is empty.
// JSON is tried first, since its escapes of characters beyond U+FFFF are no YAML.
func decodePairs(text []byte) (map[string]string, error) {
	if pairs, err := decodeJSON(text); err == nil {
		return pairs, nil
	}
	var doc yaml.Node
	switch err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); {
	case errors.Is(err, io.EOF):
		return map[string]string{}, nil
	case err != nil:
		return nil, err
	}
	root := resolved(&doc)
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return map[string]string{}, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("expected a mapping of keys to values")
	}
	out := map[string]string{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, err := scalar(root.Content[i])
		if err != nil {
			return nil, fmt.Errorf("line %d: expected a name: %w", root.Content[i].Line, err)
		}
		if out[k], err = scalar(root.Content[i+1]); err != nil {
			return nil, fmt.Errorf("line %d: value of %q: %w", root.Content[i+1].Line, k, err)
		}
		if k == "" {
			return nil, fmt.Errorf("line %d: expected a name, got an empty one", root.Content[i].Line)
		}
	}
	return out, nil
}

// resolved is the node that n stands for.
func resolved(n *yaml.Node) *yaml.Node {
	for {
		switch {
		case n.Kind == yaml.DocumentNode && len(n.Content) == 1:
			n = n.Content[0]
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		default:
			return n
		}
	}
}

func scalar(n *yaml.Node) (string, error) {
	n = resolved(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", errors.New("expected one value, got a list or a mapping")
	case n.Tag == "!!null":
		return "", nil
	case n.Tag == "!!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		return string(b), err
	}
	return n.Value, nil
}

func decodeJSON(text []byte) (map[string]string, error) {
	var raw map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for k, v := range raw {
		switch v := v.(type) {
		case nil:
			out[k] = ""
		case string:
			out[k] = v
		case bool, json.Number:
			out[k] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("value of %q: expected one value, got a list or a mapping", k)
		}
	}
	if _, empty := out[""]; empty {
		return nil, errors.New("expected a name, got an empty one")
	}
	return out, nil
}
