package state

import "context"

// A Follower is a Reader that knows which of what it has read may have changed since, so that whoever keeps what he read asks again
// for that alone. It is for what is read much and seldom asked for: a change costs the server one word, however often it is repeated
// until the node is read again. It is safe for several goroutines.
type Follower interface {
	Reader
	// Changed returns the paths whose data, or names of children, this Follower has read and that may have changed since, sorted. It
	// has heard of everything that anyone had committed when it was called. It returns each path once, until that is read again. A path at which there was no node
	// is returned when there is one. After a lost connection it returns all that was read.
	Changed(ctx context.Context) ([]string, error)
}
