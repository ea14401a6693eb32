package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/agentapi"
)

// An outboxTest is an outbox and what has come out of it.
type outboxTest struct {
	*testing.T
	*outbox
	deaf bool // the controllers do not answer
	sent string
}

// again is the outbox of an agent that comes after one that was killed.
func (o *outboxTest) again() { o.outbox = openOutbox(o.name, slog.New(slog.DiscardHandler)) }

func (o *outboxTest) add(text string) { o.Add(agentapi.Status{Entity: text}) }

func (o *outboxTest) send(want string) {
	o.Helper()
	o.sent = ""
	err := o.flush(o.Context(), func(_ context.Context, lines []byte) error {
		for line := range strings.Lines(string(lines)) {
			_, rest, _ := strings.Cut(line, `"entity":"`)
			text, _, _ := strings.Cut(rest, `"`)
			o.sent += text + " "
		}
		if o.deaf {
			return errors.New("no answer")
		}
		return nil
	})
	if o.sent = strings.TrimSpace(o.sent); o.sent != want || (err != nil) != o.deaf {
		o.Errorf("sent %q, %v; want %q", o.sent, err, want)
	}
}

func TestWhatIsNotAnsweredIsSentByTheNextAgent(t *testing.T) {
	o := &outboxTest{T: t, outbox: &outbox{name: filepath.Join(t.TempDir(), outboxFile)}}
	o.again()
	o.send("")
	o.add("a")
	o.add("b")
	o.again()
	o.add("c")
	o.deaf = true
	o.send("a b c")
	o.again()
	o.deaf = false
	o.send("a b c")
	o.send("")
	o.again()
	o.send("")

	// The machine dies while a line is written.
	o.add("d")
	o.add("e")
	data, err := os.ReadFile(o.name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.name, data[:len(data)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	o.again()
	o.add("f")
	o.again()
	o.send("d f")

	// There is no place for a file: only a kill loses what waits.
	o.close()
	o.name = filepath.Join(t.TempDir(), "no", "where")
	o.again()
	o.add("g")
	o.send("g")
	if err := os.Mkdir(filepath.Dir(o.name), 0o700); err != nil {
		t.Fatal(err)
	}
	o.add("h")
	o.send("h")
	o.add("i")
	o.again()
	o.send("i")
}

func TestTheOutboxIsBounded(t *testing.T) {
	o := &outboxTest{T: t, outbox: &outbox{name: filepath.Join(t.TempDir(), outboxFile)}, deaf: true}
	o.again()
	for i := range 12 << 10 {
		o.add(fmt.Sprint(i, strings.Repeat("x", 1<<10)))
	}
	if info, err := os.Stat(o.name); o.size > maxOutbox || err != nil || info.Size() > 2*maxOutbox+4<<10 {
		t.Fatalf("%d bytes in memory; the file: %v, %v", o.size, info, err)
	}
	before := len(o.waiting)
	o.again()
	if len(o.waiting) != before || !strings.Contains(string(o.waiting[before-1]), fmt.Sprint(12<<10-1)) {
		t.Errorf("%d of %d are found again, the last is %.100s", len(o.waiting), before, o.waiting[len(o.waiting)-1])
	}
}
