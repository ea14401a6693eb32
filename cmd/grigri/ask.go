package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// An asker asks the user one thing after the other. After an error its answers are empty: who uses it looks at err at the end.
type asker struct {
	c   *cli
	in  *bufio.Reader
	err error
}

func (c *cli) asker() *asker { return &asker{c: c, in: bufio.NewReader(c.in)} }

// line is the answer to a question, or what the question says otherwise.
func (a *asker) line(otherwise, format string, args ...any) string {
	if a.err != nil {
		return ""
	}
	prompt := fmt.Sprintf(format, args...)
	if otherwise != "" {
		prompt += " [" + otherwise + "]"
	}
	fmt.Fprint(a.c.errw, prompt+": ")
	text, err := a.in.ReadString('\n')
	if err != nil && (text == "" || !errors.Is(err, io.EOF)) {
		fmt.Fprintln(a.c.errw)
		a.err = errors.New("there is nobody to answer: give what is asked for in a file, with --file")
		return ""
	}
	if text = strings.TrimSpace(text); text == "" {
		return otherwise
	}
	return text
}

// needed is line, again until there is an answer.
func (a *asker) needed(otherwise, format string, args ...any) string {
	for {
		if text := a.line(otherwise, format, args...); text != "" || a.err != nil {
			return text
		}
	}
}

// choice is one of several answers.
func (a *asker) choice(choices []string, otherwise, format string, args ...any) string {
	for {
		text := a.needed(otherwise, format+" ("+joined(choices)+")", args...)
		if a.err != nil || slices.Contains(choices, text) {
			return text
		}
		fmt.Fprintf(a.c.errw, "%q is none of them.\n", text)
	}
}

func (a *asker) yes(format string, args ...any) bool {
	text := a.line("Y/n", format, args...)
	return a.err == nil && (text == "Y/n" || strings.EqualFold(text, "y") || strings.EqualFold(text, "yes"))
}

// secret is an answer that nobody sees; from what is no terminal it is a line.
func (a *asker) secret(format string, args ...any) string {
	f, ok := a.c.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || a.err != nil {
		return a.needed("", format, args...)
	}
	fmt.Fprintf(a.c.errw, format+": ", args...)
	text, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.c.errw)
	if err != nil {
		a.err = fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(string(text))
}

func joined(names []string) string { return strings.Join(names, ", ") }
