package serve

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/grigri/grigri/state"
)

// minMask is the length from which on a value is masked: shorter ones are parts of any text, where the mask would tell them.
const minMask = 4

// masked stands for a value of a secret in logs.
const masked = "*****"

// minCut is the length from which on a part of a value is masked, where a line was cut in the midst of it.
const minCut = 16

// conceal remembers what the value holds, so that Mask knows it.
func (s *Session) conceal(value state.SecretContent) {
	var words []string
	for _, v := range value {
		words = append(words, base64.StdEncoding.EncodeToString(v))
		for line := range strings.Lines(string(v)) { // output comes line by line
			words = append(words, forms(strings.TrimRight(line, "\r\n"))...)
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return len(strings.TrimSpace(w)) < minMask })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = append(s.secret, words...)
	slices.SortFunc(s.secret, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) // one may be a part of another
	s.secret = slices.Compact(s.secret)
}

// forms is how the text is written: as it is, and quoted as JSON, YAML, a shell that traces and Python quote it.
func forms(text string) []string {
	out := []string{
		text,
		strings.ReplaceAll(text, "'", "''"),
		strings.ReplaceAll(text, "'", `'\''`),
		strings.NewReplacer(`\`, `\\`, "'", `\'`, "\t", `\t`).Replace(text),
	}
	for _, html := range []bool{false, true} {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(text) != nil {
			continue
		}
		quoted := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(b.String()), `"`), `"`)
		out = append(out, quoted, ascii(quoted))
	}
	return out
}

// ascii writes what is not ASCII as JSON may.
func ascii(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch high, low := utf16.EncodeRune(r); {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case high == utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String()
}

// giving is a call of a tool that is given a value, as a shell that traces what it runs writes it before it is run.
var giving = regexp.MustCompile(`\b(secret-(?:add|set)) .*=.*`)

// Mask is what the hook has said, a line or several, without the values of secrets that it has set or read so far. Whoever
// writes what a hook says to a log or into the tree passes it through here.
func (s *Session) Mask(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.secret {
		text = strings.ReplaceAll(text, w, masked)
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		for _, w := range s.secret {
			lines[i] = uncut(lines[i], w)
		}
		lines[i] = giving.ReplaceAllString(lines[i], "$1 "+masked)
	}
	return strings.Join(lines, "\n")
}

// uncut masks a part of w at which the line begins or ends, or which it is: long lines come in pieces, and YAML folds texts.
func uncut(line, w string) string {
	bare := strings.TrimSpace(line)
	if len(bare) >= minCut && strings.Contains(w, bare) {
		return masked
	}
	for n := min(len(w)-1, len(line)); n >= minCut; n-- {
		if strings.HasSuffix(line, w[:n]) {
			line = line[:len(line)-n] + masked
			break
		}
	}
	for n := min(len(w)-1, len(line)); n >= minCut; n-- {
		if strings.HasPrefix(line, w[len(w)-n:]) {
			return masked + line[n:]
		}
	}
	return line
}
