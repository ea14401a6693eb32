package yamltext

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// width is the column after which a space becomes a line break.
const width = 80

// scalar writes a node without children. Further lines of it begin at column indent. A key stays on its line.
func (w *writer) scalar(n node, indent int, key bool) {
	text := n.text
	if !n.quoted {
		w.put(text)
		return
	}
	if !utf8.ValidString(text) {
		w.put("!!binary ")
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	switch s := study(text); {
	case s.multiline && !s.special && !s.badBlock && !key:
		w.literal(text, indent)
	case s.multiline || s.special || readsAsOther(text):
		w.doubleQuoted(text, indent, key)
	case s.quote:
		w.put("'")
		w.folded(text, indent, key, "''")
		w.put("'")
	default:
		w.folded(text, indent, key, "'")
	}
}

// A shape is what of a text decides how it may be written.
type shape struct {
	multiline bool
	special   bool // has characters that must be escaped, or spaces that would be lost
	quote     bool // would be taken for syntax
	badBlock  bool // ends in a space
}

func study(text string) shape {
	var s shape
	s.multiline = strings.Contains(text, "\n")
	s.badBlock = strings.HasSuffix(text, " ")
	s.special = strings.Contains(text, " \n") || strings.ContainsFunc(text, func(r rune) bool { return !printable(r) })
	s.quote = strings.HasPrefix(text, " ") || s.badBlock || isSyntax(text)
	return s
}

// isSyntax says whether the text cannot be written bare.
func isSyntax(text string) bool {
	switch {
	case text == "":
		return false
	case strings.HasPrefix(text, "---") || strings.HasPrefix(text, "..."):
		return true
	case strings.ContainsRune("#,[]{}&*!|>'\"%@`", rune(text[0])):
		return true
	case strings.ContainsRune("?:-", rune(text[0])) && (len(text) == 1 || text[1] == ' '):
		return true
	}
	return strings.Contains(text, ": ") || strings.HasSuffix(text, ":") || strings.Contains(text, " #")
}

func printable(r rune) bool {
	switch {
	case r == '\n' || 0x20 <= r && r <= 0x7e:
		return true
	case r == 0x2028 || r == 0x2029 || r == 0xfeff:
		return false
	}
	return 0xa0 <= r && r <= 0xd7ff || 0xe000 <= r && r <= 0xfffd
}

// folded writes the text, with each quote in it as given, and breaks lines at single spaces.
func (w *writer) folded(text string, indent int, key bool, quote string) {
	space := false
	for i, r := range text {
		wasSpace := space
		space = r == ' '
		switch {
		case space && !key && !wasSpace && w.column > width && i > 0 && i < len(text)-1 && text[i+1] != ' ':
			w.begin(indent)
		case r == '\'':
			w.put(quote)
		default:
			w.put(string(r))
		}
	}
}

// short is the escapes that have a letter.
const short = "\x000\aa\bb\tt\nn\vv\ff\rr\x1be\"\"\\\\\u0085N\u00a0_\u2028L\u2029P"

func (w *writer) doubleQuoted(text string, indent int, key bool) {
	w.put(`"`)
	space := false
	for i, r := range text {
		wasSpace := space
		space = r == ' '
		switch {
		case space && !key && !wasSpace && w.column > width && i > 0 && i < len(text)-1:
			w.begin(indent)
			if text[i+1] == ' ' {
				w.put(`\`)
			}
		case r != '\n' && r != '"' && r != '\\' && printable(r):
			w.put(string(r))
		default:
			w.put(escape(r))
		}
	}
	w.put(`"`)
}

func escape(r rune) string {
	letters := []rune(short)
	for i := 0; i < len(letters); i += 2 {
		if letters[i] == r {
			return `\` + string(letters[i+1])
		}
	}
	switch {
	case r <= 0xff:
		return fmt.Sprintf(`\x%02X`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04X`, r)
	}
	return fmt.Sprintf(`\U%08X`, r)
}

// literal writes the lines as they are, below a head that says how the first begins and how the last ends.
func (w *writer) literal(text string, indent int) {
	w.put("|")
	if text[0] == ' ' || text[0] == '\n' {
		w.put("2")
	}
	switch {
	case !strings.HasSuffix(text, "\n"):
		w.put("-")
	case text == "\n" || strings.HasSuffix(text, "\n\n"):
		w.put("+")
	}
	w.put("\n")
	for line := range strings.Lines(text) {
		if line != "\n" {
			w.put(strings.Repeat(" ", indent))
		}
		w.put(line)
	}
}

var (
	decimal = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+][0-9]+)?$`)
	base60  = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
)

// readsAsOther says whether a bare text would be read as something that is not a string.
func readsAsOther(text string) bool {
	if text == "" || isWord(text) {
		return true
	}
	switch c := text[0]; {
	case c == '.':
		_, err := strconv.ParseFloat(text, 64)
		return err == nil
	case c != '-' && c != '+' && (c < '0' || c > '9'):
		return false
	}
	if base60.MatchString(text) || isTime(text) {
		return true
	}
	plain := strings.ReplaceAll(text, "_", "")
	if _, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return true
	}
	if _, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return true
	}
	_, err := strconv.ParseFloat(plain, 64)
	return err == nil && decimal.MatchString(plain)
}

func isWord(text string) bool {
	if slices.Contains([]string{"~", "y", "Y", "n", "N", ".nan", ".NaN", ".NAN"}, text) {
		return true
	}
	// Each in lower case, with a capital, and in capitals.
	for _, w := range []string{"null", "yes", "no", "true", "false", "on", "off"} {
		if text == w || text == strings.ToUpper(w[:1])+w[1:] || text == strings.ToUpper(w) {
			return true
		}
	}
	number := strings.TrimLeft(text[:1], "+-") + text[1:]
	return slices.Contains([]string{".inf", ".Inf", ".INF"}, number)
}

// isTime says whether the text is a date, or a date and time.
func isTime(text string) bool {
	if len(text) < 5 || text[4] != '-' || strings.Trim(text[:4], "0123456789") != "" {
		return false
	}
	for _, layout := range []string{"2006-1-2T15:4:5.999999999Z07:00", "2006-1-2t15:4:5.999999999Z07:00",
		"2006-1-2 15:4:5.999999999", "2006-1-2"} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}
