package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
)

// A progress tells how long work goes: on a terminal one line that changes, elsewhere a line for each change.
type progress struct {
	c        *cli
	terminal bool
	last     string
	begun    time.Time
}

func (c *cli) progress() *progress {
	f, ok := c.errw.(*os.File)
	return &progress{c: c, terminal: ok && term.IsTerminal(int(f.Fd())), begun: time.Now()}
}

// say tells how far the work is.
func (p *progress) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.c.quiet || text == p.last && !p.terminal {
		return
	}
	p.last = text
	if p.terminal {
		text, end := []rune(text), fmt.Sprintf(" (%d s)", int(time.Since(p.begun).Seconds()))
		if room := p.width() - len(end) - 1; len(text) > room {
			text = append(text[:max(room-3, 0)], []rune("...")...)
		}
		fmt.Fprintf(p.c.errw, "\r\x1b[K%s%s", string(text), end)
		return
	}
	fmt.Fprintln(p.c.errw, text)
}

// width is how many characters the terminal has in a line: a line that changes must not be longer.
func (p *progress) width() int {
	if f, ok := p.c.errw.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// end leaves the line as it is.
func (p *progress) end() {
	if p.terminal && p.last != "" && !p.c.quiet {
		fmt.Fprintln(p.c.errw)
	}
	p.last = ""
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// tty says whether f is a terminal.
func tty(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
