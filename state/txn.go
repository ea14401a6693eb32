package state

import (
	"encoding/json"
	"fmt"
)

// An OpKind is what an Op does.
type OpKind uint8

// The four kinds.
const (
	OpCheck OpKind = iota
	OpCreate
	OpSet
	OpDelete
)

// An Op is one step of a Txn.
type Op struct {
	Kind      OpKind
	Path      string
	Version   Version
	Data      []byte
	Sequence  bool // create: the server appends ten digits to Path
	Ephemeral bool // create: the node ends with the session
}

// A Txn is a list of changes that happen together or not at all.
// It is a value: a pure function makes it, and a Store commits it.
// The access to each node that it creates is what ACLFor says of its path.
type Txn struct{ Ops []Op }

// The limits of a Txn; Commit refuses a larger one with ErrTooLarge. MaxValue is the size of one node's data,
// MaxChildren how many a node may have for Children to list them.
const (
	MaxOps      = 2000
	MaxTxn      = 900 << 10
	MaxValue    = 512 << 10
	MaxChildren = 20000
)

// Check fails the Txn unless the node at path is at version v (Any: unless it exists).
func (t *Txn) Check(path string, v Version) {
	t.Ops = append(t.Ops, Op{Kind: OpCheck, Path: path, Version: v})
}

// Create makes a node whose data is value as JSON. A nil value makes an empty node.
func (t *Txn) Create(path string, value any) {
	t.Ops = append(t.Ops, Op{Kind: OpCreate, Path: path, Data: Encode(value)})
}

// Ephemeral makes a node that ends with the session.
func (t *Txn) Ephemeral(path string, value any) {
	t.Ops = append(t.Ops, Op{Kind: OpCreate, Path: path, Data: Encode(value), Ephemeral: true})
}

// Set writes value as JSON over the node at path, which must be at version v.
func (t *Txn) Set(path string, value any, v Version) {
	t.Ops = append(t.Ops, Op{Kind: OpSet, Path: path, Data: Encode(value), Version: v})
}

// Delete removes the node at path, which must be at version v and have no children.
func (t *Txn) Delete(path string, v Version) {
	t.Ops = append(t.Ops, Op{Kind: OpDelete, Path: path, Version: v})
}

// Put sets the node of rec to value, or creates it at path when rec does not exist.
func Put[T any](t *Txn, path string, rec Record[T], value T) {
	if rec.Exists() {
		t.Set(path, value, rec.Version)
	} else {
		t.Create(path, value)
	}
}

// Join adds the ops of the others to t.
func (t *Txn) Join(others ...Txn) {
	for _, o := range others {
		t.Ops = append(t.Ops, o.Ops...)
	}
}

// A Ticket names one thing of a model for the leader to look at: unit web/0, machine 4, relation 7, application web, model.
type Ticket struct{ Kind, Name string }

// The kinds of ticket.
const (
	TicketUnit        = "unit"
	TicketMachine     = "machine"
	TicketRelation    = "relation"
	TicketApplication = "application"
	TicketStorage     = "storage"
	TicketModel       = "model"  // everything: Name is empty
	TicketSecret      = "secret" // its id
)

// Tell leaves a ticket in the model that asks the leader to look at the thing. Tickets carry no data.
func (t *Txn) Tell(m ModelID, kind, name string) {
	t.Ops = append(t.Ops, Op{Kind: OpCreate, Path: m.TicketPrefix(Ticket{kind, name}), Sequence: true})
}

// Size is the size of the Txn on the wire, never less than it is: each created node brings its access along.
func (t Txn) Size() int {
	const head, id = 64, 64 // of an op, and of a party in the access to a node beside its name
	n := head
	for _, op := range t.Ops {
		n += head + len(op.Path) + len(op.Data)
		if op.Kind != OpCreate {
			continue
		}
		n += id
		for _, p := range ACLFor(op.Path).Principals() {
			n += id + len(p)
		}
	}
	return n
}

// Encode is value as it lies in a node. It panics on a value that is not for nodes.
func Encode(value any) []byte {
	if value == nil {
		return nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("state: encode %T: %v", value, err))
	}
	return data
}
