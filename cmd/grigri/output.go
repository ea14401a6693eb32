package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// An output is the flags --format and -o of a command that prints data.
type output struct {
	formats []string
	format  string
	file    string
	c       *cli
}

// outputFlags adds the flags; the first format is the default.
func (c *cli) outputFlags(cmd *cobra.Command, formats ...string) *output {
	o := &output{formats: formats, c: c}
	cmd.Flags().StringVar(&o.format, "format", formats[0], "the format of the output: "+strings.Join(formats, ", "))
	cmd.Flags().StringVarP(&o.file, "output", "o", "", "the file to write to instead of stdout")
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(o.formats, o.format) {
			return usagef("invalid value %q for option --format: use one of %s", o.format, strings.Join(o.formats, ", "))
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
	return o
}

// write prints v in the wanted format; text writes it in any other format than json and yaml.
func (o *output) write(v any, text func(io.Writer) error) error {
	var b bytes.Buffer
	switch o.format {
	case "json":
		if err := writeJSON(&b, v); err != nil {
			return err
		}
	case "yaml":
		if err := writeYAML(&b, v); err != nil {
			return err
		}
	default:
		if err := text(&b); err != nil {
			return err
		}
	}
	if o.file == "" {
		_, err := o.c.out.Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(o.file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeYAML writes v as block YAML with the keys that its JSON has, in the same order.
func writeYAML(w io.Writer, v any) error {
	var b bytes.Buffer
	if err := writeJSON(&b, v); err != nil {
		return err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(b.Bytes(), &n); err != nil { // JSON is YAML
		return err
	}
	if err := block(&n); err != nil {
		return err
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	defer e.Close()
	return e.Encode(&n)
}

// block takes away the marks of JSON: braces, brackets and needless quotes. A text that YAML 1.1 reads as something else, as it
// does yes, stays quoted: that is what scripts read with.
func block(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
		return n.Encode(n.Value)
	case n.Kind == yaml.ScalarNode:
		n.Style = 0
	case len(n.Content) > 0:
		n.Style &^= yaml.FlowStyle
	}
	for _, child := range n.Content {
		if err := block(child); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes rows in columns two blanks apart. Right says which columns are aligned to the right.
func writeTable(w io.Writer, rows [][]string, right ...int) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if slices.Contains(right, i) {
				cell = pad + cell
			} else {
				cell += pad
			}
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(cell)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}
