// Package coord holds the recipes of coordination on a state.Store: Elect and Lock choose one of many, Presence shows
// that a run of an agent is alive. Each has a part that is stepped by its caller and starts no goroutine, and a
// function that drives it. Whoever is chosen gets a Fence: what it writes carries the fence's check, so that the
// tree refuses the writes of one that does not know yet that its time is over.
package coord

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/state"
)

// A Config says who stands where.
type Config struct {
	Store state.Store
	// Dir is the directory of the candidates. It exists, and nothing else lies in it.
	Dir string
	// Name is who stands: the same in every run, unlike that of any other party. Slashes become dashes in the tree.
	Name string
	// Run is this run of it. Boot is unlike that of any other run; a run that began earlier is over.
	Run state.Presence
	// Keep lets a run take the place that the run before it, or a session of its own that is over, has left in the tree: who is
	// started again in time goes on in line where it was. Without it a new run begins at the end.
	Keep bool
	// Log may be nil.
	Log *slog.Logger
}

func (c Config) check() error {
	switch {
	case c.Store == nil:
		return errors.New("no store to stand in")
	case c.Name == "" || c.Run.Boot == "":
		return fmt.Errorf("stand in %s: a candidate has a name and a boot id, not %q and %q", c.Dir, c.Name, c.Run.Boot)
	case strings.ContainsAny(c.Name, "=:") || strings.ContainsAny(c.Run.Boot, "=:/"):
		return fmt.Errorf("stand in %s: neither = nor : may be in the name %q, nor in the boot id %q", c.Dir, c.Name, c.Run.Boot)
	}
	return nil
}

func (c Config) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// A Fence is proof of having been chosen. The zero Fence is held by no one: a Txn with its check is refused.
type Fence struct {
	Path    string
	Version state.Version
	Epoch   state.Stamp // greater than that of all others who were chosen before; the same for who keeps its place over a start
}

// Check makes t fail unless the holder of the fence is still in its place.
func (f Fence) Check(t *state.Txn) { t.Check(f.Path, f.Version) }

// Leader is the name of who is chosen in dir, with dashes for slashes, or empty when no one stands.
func Leader(ctx context.Context, r state.Reader, dir string) (string, error) {
	names, err := state.ChildrenIf(ctx, r, dir)
	if err != nil {
		return "", err
	}
	if line := queue(names); len(line) > 0 {
		return line[0].name, nil
	}
	return "", nil
}

// A place is one candidate in line: its node is name=boot:0000000042.
type place struct {
	node, name, boot string
	number           int
}

// queue is the candidates among the nodes, the chosen one first.
func queue(nodes []string) []place {
	var line []place
	for _, node := range nodes {
		who, digits, ok := strings.Cut(node, ":")
		name, boot, ok2 := strings.Cut(who, "=")
		number, err := strconv.Atoi(digits)
		if ok && ok2 && err == nil {
			line = append(line, place{node, name, boot, number})
		}
	}
	slices.SortFunc(line, func(a, b place) int { return cmp.Compare(a.number, b.number) })
	return line
}

// pause waits before another try: about d, less or more by half so that not all try at once.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// retry is how long to wait after an error that may pass.
const retry = 200 * time.Millisecond

// passes says whether another try may go better. Access and a directory that is not there are for others to mend.
func passes(err error) bool {
	return !errors.Is(err, state.ErrDenied) && !errors.Is(err, state.ErrNotFound)
}

// afterwards is a little time to tidy up in, though ctx may have ended.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Second)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
