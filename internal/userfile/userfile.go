// Package userfile decodes files that people write, and says what is wrong with one in their words: the file, the line, the
// key and what is allowed there. It names no type of Go, and no value: that may be secret. It is pure.
package userfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// YAML decodes the first document of the file into out, as yaml.Unmarshal does. A file without one leaves out as it is. An entry
// without a value, where out has a pointer, is an error.
func YAML(file string, data []byte, out any) error { return decodeYAML(file, data, out, false) }

// StrictYAML is YAML, and refuses keys that out does not have.
func StrictYAML(file string, data []byte, out any) error { return decodeYAML(file, data, out, true) }

// Values decodes what was read from several files, as YAML, and is what is wrong with it: without lines, as there are none.
// Keys that out does not have are wrong.
func Values(data []byte, out any) []string {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	err := d.Decode(out)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	w := walk{tag: "yaml", strict: true, failed: true, lineless: true}
	if w.document(data, out); len(w.wrong) == 0 {
		w.wrong = []string{"a value of another kind is expected"}
	}
	return w.wrong
}

func decodeYAML(file string, data []byte, out any, strict bool) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(strict)
	err := d.Decode(out)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return explain(file, data, out, strict, err)
}

// Explain is why a decoder of YAML has refused with err to decode the first document in data into out.
func Explain(file string, data []byte, out any, err error) error {
	return explain(file, data, out, false, err)
}

func explain(file string, data []byte, out any, strict bool, err error) error {
	w := walk{tag: "yaml", strict: strict, failed: err != nil}
	w.document(data, out)
	var several *yaml.TypeError
	switch {
	case err == nil || len(w.wrong) > 0:
	case errors.As(err, &several):
		for _, text := range several.Errors {
			w.wrong = append(w.wrong, plain(text))
		}
	default:
		w.wrong = []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	return problems(file, w.wrong)
}

// plain is what yaml says without the value and the type of Go in it.
func plain(text string) string {
	if where, _, ok := strings.Cut(text, ": cannot unmarshal"); ok {
		return where + ": a value of another kind is expected"
	}
	return text
}

// JSON decodes the file into out, as json.Unmarshal does.
func JSON(file string, data []byte, out any) error {
	err := json.Unmarshal(data, out)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
		return problems(file, []string{fmt.Sprintf("line %d: not JSON: %v", line, err)})
	}
	w := walk{tag: "json", failed: true}
	w.document(data, out) // JSON is YAML
	if len(w.wrong) == 0 {
		w.wrong = append(w.wrong, "a value of another kind is expected")
		var typed *json.UnmarshalTypeError
		if !errors.As(err, &typed) { // something of ours says what it wants
			w.wrong[0] = err.Error()
		}
	}
	return problems(file, w.wrong)
}

// maxWrong is how many problems an error tells of.
const maxWrong = 20

// problems is what is wrong with the file, one or all of it.
func problems(file string, wrong []string) error {
	switch len(wrong) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: %s", file, wrong[0])
	}
	if more := len(wrong) - maxWrong; more > 0 {
		wrong = append(wrong[:maxWrong:maxWrong], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%s:\n  %s", file, strings.Join(wrong, "\n  "))
}
