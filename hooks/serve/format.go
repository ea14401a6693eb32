package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grigri/grigri/internal/yamltext"
)

// A format says which formats a tool prints in.
type format int

const (
	silent      format = iota // it prints nothing, or only text of its own
	smart                     // smart, yaml or json; smart if nothing is said
	structured                // yaml or json; yaml if nothing is said
	formatIsOld               // --format is accepted, complained about and ignored
	bare                      // it prints a text, with no newline after it
	line                      // it prints a text and a newline
)

func (f format) names() []string {
	switch f {
	case smart:
		return []string{"smart", "yaml", "json"}
	case structured:
		return []string{"yaml", "json"}
	}
	return nil
}

// flags is the options that come with the format.
func (f format) flags() []flag {
	names := f.names()
	switch {
	case f == formatIsOld:
		return []flag{{names: "format", value: "<format>", usage: "Does nothing; kept for old charms"}}
	case names == nil:
		return nil
	}
	known := func(_ context.Context, _ *call, value string) (string, error) {
		for _, n := range names {
			if n == value {
				return value, nil
			}
		}
		return "", fmt.Errorf("unknown format %q", value)
	}
	return []flag{
		{names: "format", value: "<format>", usage: "Print as " + strings.Join(names, ", "), check: known,
			preset: func(*Session) string { return names[0] }},
		{names: "o, output", value: "<file>", usage: "Write to a file instead of standard output"},
	}
}

// render prints a tool's answer in the format that was asked for.
func (c *call) render(value any) ([]byte, error) {
	switch c.tool.format {
	case silent:
		return nil, nil
	case formatIsOld:
		if _, given := c.given["format"]; given {
			fmt.Fprintf(&c.stderr, "--format flag deprecated for command %q\n", c.tool.name)
		}
		return nil, nil
	}
	if text, ok := value.(string); ok && c.tool.format == bare {
		return []byte(text), nil
	}
	switch c.text("format") {
	case "json":
		out, err := json.Marshal(value)
		return append(out, '\n'), err
	case "yaml":
		return inYAML(value)
	}
	return inSmart(value)
}

// inSmart prints what shell scripts can use as it is.
func inSmart(value any) ([]byte, error) {
	text := ""
	switch v := value.(type) {
	case nil:
	case string:
		text = v
	case []string:
		text = strings.Join(v, "\n")
	case bool:
		text = "False"
		if v {
			text = "True"
		}
	default:
		return inYAML(value)
	}
	if text == "" {
		return nil, nil
	}
	return []byte(text + "\n"), nil
}

func inYAML(value any) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	out, err := yamltext.Marshal(value)
	if err != nil {
		return nil, err
	}
	return append(bytes.TrimRight(out, "\n"), '\n'), nil
}
