package hooks

import "errors"

// Errors that a Reader or Writer wraps because a charm must hear of them in the contract's words.
var (
	ErrNoRelation = errors.New("relation not found")
	ErrDenied     = errors.New("permission denied")
	ErrNoBinding  = errors.New("no network config found for binding")
	ErrNoSecret   = errors.New("secret not found")
	ErrNotLeader  = errors.New("this unit is not the leader")
	ErrNoResource = errors.New("resource not found")
)
