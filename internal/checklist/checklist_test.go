package checklist

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	page = "docs/reference/hook-contract.md"
	rows = 173
)

// A holder is a test, a file or a page, and words that are in it.
var (
	row    = regexp.MustCompile(`^\| (\d+) \| (.+?) \| (.+) \|$`)
	holder = regexp.MustCompile("(?:`([^`]+)`|\\[compatibility\\]\\(\\.\\./explanation/(compatibility\\.md)\\))((?: \"(?:[^\"\\\\]|\\\\.)*\")*)(?:, |$)")
	quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
	test   = regexp.MustCompile(`^([a-z/0-9]+)\.(Test\w+)$`)
)

func TestEveryRowIsHeld(t *testing.T) {
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	for line := range strings.SplitSeq(string(text), "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if n, _ := strconv.Atoi(m[1]); n != next {
			t.Errorf("row %s follows row %d", m[1], next-1)
		}
		next++
		if left := holder.ReplaceAllString(m[3], ""); left != "" {
			t.Errorf("row %s: %q cannot be read", m[1], left)
		}
		for _, h := range holder.FindAllStringSubmatch(m[3], -1) {
			if why := missing(h[1]+h[2], h[3]); why != "" {
				t.Errorf("row %s, %s: %s", m[1], m[2], why)
			}
		}
	}
	if next != rows+1 {
		t.Errorf("%s has %d rows, want %d", page, next-1, rows)
	}
}

// missing says what is not there of a test or a file, and of the words that are to be in it.
func missing(name, words string) string {
	pattern := "../../" + name
	want := ""
	if m := test.FindStringSubmatch(name); m != nil {
		pattern, want = "../../"+m[1]+"/*_test.go", "func "+m[2]+"("
	}
	if name == "compatibility.md" {
		pattern = "../../docs/explanation/" + name
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return "there is no " + name
	}
	found := want == ""
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err.Error()
		}
		all.Write(text)
		found = found || strings.Contains(string(text), want)
	}
	if !found {
		return "there is no test " + name
	}
	for _, q := range quoted.FindAllStringSubmatch(words, -1) {
		if w := strings.ReplaceAll(q[1], `\"`, `"`); !strings.Contains(all.String(), w) {
			return name + " does not say " + strconv.Quote(w)
		}
	}
	return ""
}
