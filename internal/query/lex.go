package query

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A token is a word of a query. Kind is "name", "number", "string", "end", or the sign itself.
type token struct {
	kind     string
	text     string // of a name; of a string what is between the quotes
	number   float64
	from, to int
}

// signs are what is neither name nor number nor string, the longer ones first.
var signs = []string{"==", "!=", "<=", ">=", "&&", "||", "=>", "<", ">", "!", "(", ")", "[", "]", ".", ","}

// lex splits a query into its words. The last is the end.
func lex(text string) ([]token, error) {
	var out []token
	for at := 0; at < len(text); {
		t := token{from: at, to: at}
		c := text[at]
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			at++
			continue
		case letter(c):
			for t.to < len(text) && (letter(text[t.to]) || digit(text[t.to]) || text[t.to] == '-') {
				t.to++
			}
			t.kind, t.text = "name", text[at:t.to]
		case digit(c), c == '-' && at+1 < len(text) && digit(text[at+1]):
			t.to = numberEnd(text, at+1)
			t.kind = "number"
			var err error
			if t.number, err = strconv.ParseFloat(text[at:t.to], 64); err != nil {
				return nil, faultf(at, "%s is not a number, or too large a one", text[at:t.to])
			}
		case c == '"' || c == '\'':
			value, end, ok := quoted(text, at)
			if !ok {
				return nil, faultf(at, "the string that begins here does not end: a %c is missing", c)
			}
			t.kind, t.text, t.to = "string", value, end
		default:
			if t.kind = sign(text[at:]); t.kind == "" {
				return nil, stray(text, at)
			}
			t.to += len(t.kind)
		}
		out, at = append(out, t), t.to
	}
	return append(out, token{kind: "end", from: len(text), to: len(text)}), nil
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// numberEnd is where what looks like a number ends, whose digits go on at from: 3, -3, 3.25.
func numberEnd(text string, from int) int {
	for from < len(text) && digit(text[from]) {
		from++
	}
	if from+1 < len(text) && text[from] == '.' && digit(text[from+1]) {
		return numberEnd(text, from+2)
	}
	return from
}

// quoted is the string whose opening quote is at from, and where it ends. A backslash takes the next character as it is.
func quoted(text string, from int) (value string, end int, ok bool) {
	var out strings.Builder
	for i := from + 1; i < len(text); i++ {
		switch {
		case text[i] == text[from]:
			return out.String(), i + 1, true
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		out.WriteByte(text[i])
	}
	return "", 0, false
}

func sign(text string) string {
	for _, s := range signs {
		if strings.HasPrefix(text, s) {
			return s
		}
	}
	return ""
}

// stray is the error about a character that no word begins with.
func stray(text string, at int) error {
	switch c := text[at]; c {
	case '=', '&', '|':
		return faultf(at, "a single %c means nothing here: write %c%c", c, c, c)
	}
	r, _ := utf8.DecodeRuneInString(text[at:])
	return faultf(at, "%q means nothing here", r)
}
