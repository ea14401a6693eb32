package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Edits are the changes that users ask for, and those with which the leader answers. Each is a pure function: it
// reads the tree and returns the one transaction that makes the change, with every version that it relied on, the
// tickets for the leader, and its record in the history. A change that changes nothing is an empty transaction.

// By is who makes a change and when.
type By struct {
	User string
	Now  time.Time
	ID   string // names this one change; Apply needs it to know of a change whose reply was lost
}

// record adds the change to the history of the model.
func (by By) record(t *Txn, m ModelID, what, details string) {
	c := Change{User: by.User, When: by.Now, What: what, Details: details, ID: by.ID}
	t.Ops = append(t.Ops, Op{Kind: OpCreate, Path: m.HistoryPath() + "/", Data: Encode(c), Sequence: true})
}

// recorded says whether the change is in the history of the model, by its ID, once t has been committed.
func (by By) recorded(t Txn, m ModelID) bool {
	return by.ID != "" && slices.ContainsFunc(t.Ops, func(op Op) bool { return op.Kind == OpCreate && op.Path == m.HistoryPath()+"/" })
}

// Apply makes a change: it decides and commits, again while the tree changes under it. When the reply to a commit is lost
// it reads the history to know whether the change is there, so that nothing happens twice. Of a change that is in no history
// nobody can know: it is then an error that wraps ErrUnknown.
func Apply[T any](ctx context.Context, s Store, m ModelID, by By, decide func(context.Context, Reader) (Txn, T, error)) (T, error) {
	var none, lost T
	unknown := false
	for {
		t, result, err := decide(ctx, s)
		if unknown {
			done, herr := Happened(ctx, s, m, by.ID)
			if done || herr != nil {
				return lost, herr
			}
		}
		if err != nil {
			return none, err
		}
		_, err = s.Commit(ctx, t)
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, ErrUnknown) && by.recorded(t, m):
			unknown, lost = true, result
		case !errors.Is(err, ErrConflict):
			return none, err
		}
		if err := ctx.Err(); err != nil {
			return none, err
		}
	}
}

// happenedDepth is how many of the latest changes Happened looks through.
const happenedDepth = 200

// Happened says whether the change with this id is among the latest of the model.
func Happened(ctx context.Context, r Reader, m ModelID, id string) (bool, error) {
	names, err := ChildrenIf(ctx, r, m.HistoryPath())
	if err != nil {
		return false, fmt.Errorf("look for change %s: %w", id, err)
	}
	slices.Reverse(names)
	for _, name := range names[:min(len(names), happenedDepth)] {
		rec, err := ReadIf[Change](ctx, r, m.HistoryPath()+"/"+name)
		if err != nil {
			return false, fmt.Errorf("look for change %s: %w", id, err)
		}
		if rec.Value.ID == id {
			return true, nil
		}
	}
	return false, nil
}

// A counter gives numbers that were never given before.
type counter struct {
	path string
	rec  Record[int]
	next int
}

// count opens the counter; one that has never counted begins at first.
func count(ctx context.Context, r Reader, m ModelID, of string, first int) (*counter, error) {
	c := &counter{path: m.SequencePath(of), next: first}
	var err error
	if c.rec, err = ReadIf[int](ctx, r, c.path); err != nil {
		return nil, fmt.Errorf("number the next %s: %w", of, err)
	}
	if c.rec.Exists() {
		c.next = c.rec.Value
	}
	return c, nil
}

func (c *counter) take() int {
	c.next++
	return c.next - 1
}

func (c *counter) takeAll(n int) NumberRange {
	c.next += n
	return NumberRange{From: c.next - n, To: c.next}
}

// save makes the numbers that were taken taken for ever.
func (c *counter) save(t *Txn) { Put(t, c.path, c.rec, c.next) }

// DefaultDeadline is how long a removal waits for those who must answer, unless the user says otherwise.
const DefaultDeadline = 10 * time.Minute

// An Ending is how a user wants something to go.
type Ending struct {
	Force   bool          // do not wait, run no hooks
	Destroy bool          // persistent storage too
	Release bool          // of a model: leave persistent storage in its cloud
	Timeout time.Duration // zero: DefaultDeadline
}

// end is the End of something that was to live as was: it comes no later and no gentler than before.
func (e Ending) end(by By, was End) End {
	timeout := e.Timeout
	if timeout == 0 {
		timeout = DefaultDeadline
	}
	if e.Force {
		timeout = 0
	}
	return was.Sooner(End{Life: Dying, Deadline: by.Now.Add(timeout), Force: e.Force, Destroy: e.Destroy})
}

// Sooner is the end of something that both e and o are the end of.
func (e End) Sooner(o End) End {
	if e.Life == Alive {
		return o
	}
	if !o.Deadline.IsZero() && o.Deadline.Before(e.Deadline) {
		e.Deadline = o.Deadline
	}
	e.Force = e.Force || o.Force
	e.Destroy = e.Destroy || o.Destroy
	return e
}

// same says whether two ends are one.
func (e End) same(o End) bool {
	return e.Life == o.Life && e.Force == o.Force && e.Destroy == o.Destroy && e.Deadline.Equal(o.Deadline)
}

// full says that a transaction which can go on in another one should end here.
func (t *Txn) full() bool { return len(t.Ops) > MaxOps-500 || t.Size() > MaxTxn/2 }
