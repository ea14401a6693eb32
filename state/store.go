package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Errors that a Store wraps.
var (
	ErrConflict = errors.New("the tree has changed") // a check, a version, an existing or missing node failed the Txn: read again, decide again
	ErrNotFound = errors.New("no such node")
	ErrTooLarge = errors.New("transaction too large")
	ErrUnknown  = errors.New("outcome unknown") // the connection broke: it may have happened. Read back before trying again
	ErrDenied   = errors.New("access denied")
)

// A Version counts the writes of one node's data, from 0 at its creation.
type Version int32

// Any, as a Version, matches every version. Only a fenced transaction may use it.
const Any Version = -1

// A Stamp orders all changes of the tree: the later of two writes anywhere has the greater stamp.
// The stamp of a node's data changes with each write, and differs from the stamps of any node
// that was at the same path before.
type Stamp int64

// A Node is a node as it was read.
type Node struct {
	Data     []byte
	Version  Version
	Stamp    Stamp // of the last write of Data
	Created  Stamp
	Session  int64 // the session that an ephemeral node lives by; 0 for others
	Children int
}

// A Reader reads the tree. Paths begin with a slash; the root is "/".
// Get and Children wrap ErrNotFound when there is no such node, and ErrDenied when the client may not read it.
// Children wraps ErrTooLarge when there are more than MaxChildren.
type Reader interface {
	Get(ctx context.Context, path string) (Node, error)
	Children(ctx context.Context, path string) ([]string, error) // names, sorted
}

// A Store is a tree. zk and memory implement it, and storetest holds both to one contract.
type Store interface {
	Reader
	// Commit makes all of the changes of t or none, and returns the paths of the nodes that it created,
	// in the order of t's ops. It wraps ErrConflict, ErrTooLarge, ErrDenied or ErrUnknown.
	// An empty Txn commits without a word to the server.
	Commit(ctx context.Context, t Txn) ([]string, error)
	// Watch begins a watch of nothing. The watch ends with ctx.
	Watch(ctx context.Context) Watch
	// Follow begins to follow what is read through the Follower. That ends with ctx.
	Follow(ctx context.Context) Follower
	// Session returns the session that ephemeral nodes made now would live by. It waits for a connection.
	Session(ctx context.Context) (Session, error)
	// Prove shows the server a credential; it holds for all later sessions too.
	Prove(ctx context.Context, c Credential) error
}

// A Session is the life of this client's ephemeral nodes. Lost is closed as soon as the client must assume
// that the session may have expired: locally, after two thirds of its timeout without an answer, or on the server's word.
type Session struct {
	ID   int64
	Lost <-chan struct{}
}

// A Watch gathers the paths that may have changed. It carries no data, merges repetitions, and
// reports everything it watches after a lost connection. It is safe for several goroutines.
type Watch interface {
	// Data watches the data of the node at path, also its creation and its end. It is dirty at once, without
	// a change: as soon as the server watches. Watching what is watched already does nothing.
	Data(path string)
	// Children watches the names of the children of the node at path, also its creation and its end. It is dirty as
	// with Data. What the client may not read it does not hear of; when it proves what lets it, the path is dirty.
	Children(path string)
	// Drop stops watching path.
	Drop(path string)
	// C gets a value when there is something to Take.
	C() <-chan struct{}
	// Take returns the dirty paths, sorted, and makes them clean. Each has been watched again before it was
	// reported: a read after Take sees the change, or a later change is reported again.
	Take() []string
}

// A Record is a node as it was read, decoded: the value, and the version that a later write must match.
type Record[T any] struct {
	Path    string
	Version Version
	Stamp   Stamp
	Value   T
}

// Exists says whether there was a node.
func (r Record[T]) Exists() bool { return r.Path != "" }

// Read reads and decodes the node at path. It wraps ErrNotFound.
func Read[T any](ctx context.Context, r Reader, path string) (Record[T], error) {
	n, err := r.Get(ctx, path)
	if err != nil {
		return Record[T]{}, err
	}
	return Decode[T](path, n)
}

// ReadIf is Read, but a node that is not there is a Record that does not Exist, with the zero value.
func ReadIf[T any](ctx context.Context, r Reader, path string) (Record[T], error) {
	rec, err := Read[T](ctx, r, path)
	if errors.Is(err, ErrNotFound) {
		return Record[T]{}, nil
	}
	return rec, err
}

// Decode decodes the node n, which was read at path. An empty node is the zero value.
func Decode[T any](path string, n Node) (Record[T], error) {
	rec := Record[T]{Path: path, Version: n.Version, Stamp: n.Stamp}
	if len(n.Data) == 0 {
		return rec, nil
	}
	if err := json.Unmarshal(n.Data, &rec.Value); err != nil {
		return rec, fmt.Errorf("decode %s: %w", path, err)
	}
	return rec, nil
}

// ChildrenIf is Children, but a node that is not there has none.
func ChildrenIf(ctx context.Context, r Reader, path string) ([]string, error) {
	names, err := r.Children(ctx, path)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return names, err
}

// Edit reads, decides and commits, again while the tree changes under it. The commit is t as decide returns it.
// An outcome that is unknown is returned as it is: only the caller can tell whether its change is in the tree.
func Edit(ctx context.Context, s Store, decide func(context.Context, Reader) (Txn, error)) error {
	for {
		t, err := decide(ctx, s)
		if err != nil {
			return err
		}
		if _, err := s.Commit(ctx, t); !errors.Is(err, ErrConflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
