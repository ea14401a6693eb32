package main

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/grigri/grigri/internal/userfile"
)

// pairsFlag adds a flag that may be given many times, each time with one key=value, kept to the letter.
func pairsFlag(cmd *cobra.Command, name, usage string) *[]string {
	return cmd.Flags().StringArray(name, nil, usage)
}

// splitPairs turns key=value words into a map. A value @file is the content of the file.
func splitPairs(words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return nil, usagef("expected \"key=value\", got %q", w)
		}
		if path, isFile := strings.CutPrefix(v, "@"); isFile {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read the value of %s: %w", k, err)
			}
			v = string(data)
		}
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("the value of %s is not UTF-8 text", k)
		}
		if _, twice := out[k]; twice {
			return nil, usagef("key %q is given twice", k)
		}
		out[k] = v
	}
	return out, nil
}

// settingsOf reads the settings of --config flags, and of those like it: key=value, or the name of a YAML file,
// whose settings lie under the application's name or at the top.
func settingsOf(words []string, application string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		if strings.Contains(w, "=") {
			pair, err := splitPairs([]string{w})
			if err != nil {
				return nil, err
			}
			for k, v := range pair {
				out[k] = v
			}
			continue
		}
		data, err := os.ReadFile(w)
		if err != nil {
			return nil, fmt.Errorf("read the settings: %w", err)
		}
		fromFile, err := settingsFile(data, w, application)
		if err != nil {
			return nil, err
		}
		for k, v := range fromFile {
			out[k] = v
		}
	}
	return out, nil
}

func settingsFile(data []byte, name, application string) (map[string]string, error) {
	var top map[string]yaml.Node
	if err := userfile.YAML(name, data, &top); err != nil {
		return nil, fmt.Errorf("read the settings in %w", err)
	}
	if own, ok := top[application]; ok && own.Kind == yaml.MappingNode {
		top = nil
		if err := own.Decode(&top); err != nil {
			return nil, fmt.Errorf("read the settings in %s: %w", name, err)
		}
	}
	out := map[string]string{}
	for k, n := range top {
		switch {
		case n.Kind == yaml.MappingNode && application != "":
			return nil, fmt.Errorf("%s has settings for %q and none for %q", name, k, application)
		case n.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("%s: the value of %q must be one value, not a list or a map", name, k)
		case n.Tag == "!!null":
			continue
		}
		out[k] = n.Value
	}
	return out, nil
}

// splitCommas is the parts of a comma-separated flag, without empty ones.
func splitCommas(s string) []string {
	var out []string
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}
