// Package storetest holds every state.Store to one contract: what the comments of package state promise, sentence by
// sentence. Run asks one tree; Same asks two the same questions, and wants the same answers.
package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
)

// A Harness is a tree under test that has only its root, and what a test may do to it.
type Harness struct {
	// Key is what the tree holds credentials against.
	Key state.Key
	// Controller opens a client of a controller.
	Controller func(testing.TB) state.Store
	// Machine opens a client with the certificate of a machine, and no credential.
	Machine func(testing.TB, state.ModelID, state.MachineID) state.Store
	// Disconnect breaks the client's connection for a moment. Its session lives on.
	Disconnect func(testing.TB, state.Store)
	// Expire ends the client's session, and returns when the tree has forgotten it.
	Expire func(testing.TB, state.Store)
}

// Run holds the trees that open makes to the contract.
func Run(t *testing.T, open func(testing.TB) Harness) {
	for _, c := range slices.Concat(readTests, commitTests, accessTests, sessionTests, watchTests, followTests) {
		t.Run(c.name, func(t *testing.T) { c.run(newSuite(t, open(t))) })
	}
}

type contract struct {
	name string
	run  func(*suite)
}

// A suite is one test of one tree.
type suite struct {
	*testing.T
	Harness
	ctx context.Context
	s   state.Store // of a controller
}

// patience is how long what must happen may take.
const patience = time.Minute

func newSuite(t *testing.T, h Harness) *suite {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return &suite{t, h, ctx, h.Controller(t)}
}

// commit commits what edit makes, which must go well.
func (t *suite) commit(s state.Store, edit func(*state.Txn)) []string {
	t.Helper()
	created, err := t.try(s, edit)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (t *suite) try(s state.Store, edit func(*state.Txn)) ([]string, error) {
	var x state.Txn
	edit(&x)
	return s.Commit(t.ctx, x)
}

// make makes nodes, each with its path for data.
func (t *suite) make(paths ...string) {
	t.Helper()
	t.commit(t.s, func(x *state.Txn) {
		for _, p := range paths {
			x.Create(p, p)
		}
	})
}

func (t *suite) get(path string) state.Node {
	t.Helper()
	n, err := t.s.Get(t.ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (t *suite) children(path string) []string {
	t.Helper()
	names, err := t.s.Children(t.ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// want wants err to wrap target, and no other of the Store's errors.
func (t *suite) want(what string, err, target error) {
	t.Helper()
	for _, e := range []error{state.ErrConflict, state.ErrNotFound, state.ErrTooLarge, state.ErrUnknown, state.ErrDenied} {
		if errors.Is(err, e) != (e == target) {
			t.Errorf("%s: %v; want %v", what, err, target)
			return
		}
	}
	if (err == nil) != (target == nil) {
		t.Errorf("%s: %v; want %v", what, err, target)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (t *suite) wantOther(what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, e := range []error{state.ErrConflict, state.ErrNotFound, state.ErrTooLarge, state.ErrUnknown, state.ErrDenied} {
		if errors.Is(err, e) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func (t *suite) ended(what string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s: %v", what, err)
	}
}
