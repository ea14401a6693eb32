package serve

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"github.com/grigri/grigri/state"
)

// minMask is the length from which on a value is masked: shorter ones are parts of any text.
const minMask = 4

// masked stands for a value of a secret in logs.
const masked = "*****"

// conceal remembers what the value holds, so that Mask knows it.
func (s *Session) conceal(value state.SecretContent) {
	var words []string
	for _, v := range value {
		words = append(words, base64.StdEncoding.EncodeToString(v))
		for line := range strings.Lines(string(v)) { // output comes line by line
			words = append(words, strings.TrimRight(line, "\r\n"))
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool { return len(strings.TrimSpace(w)) < minMask })
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) }) // a value may be a part of another one
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = append(s.secret, words...)
}

// giving is a call of a tool that is given a value, as a shell that traces what it runs writes it before it is run.
var giving = regexp.MustCompile(`\b(secret-(?:add|set)) .*=.*`)

// Mask is a line of the hook's output, or a message of it, without the values of secrets that the hook has set or read so far. Whoever
// writes what a hook says to a log or into the tree passes it through here.
func (s *Session) Mask(line string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.secret {
		line = strings.ReplaceAll(line, w, masked)
	}
	return giving.ReplaceAllString(line, "$1 "+masked)
}
