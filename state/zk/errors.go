package zk

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/state"
)

// errClosed is what every call of a closed Store returns.
var errClosed = errors.New("the connection to ZooKeeper is closed")

// answered says whether err is the server's word, so that what was asked has been done or will not be. Any other
// error leaves that open: the library returns the network's errors as they are.
func answered(err error) bool {
	for _, e := range []error{
		zk.ErrNoNode, zk.ErrNoAuth, zk.ErrBadVersion, zk.ErrNodeExists, zk.ErrNotEmpty, zk.ErrNoChildrenForEphemerals,
		zk.ErrInvalidACL, zk.ErrAuthFailed, zk.ErrBadArguments, zk.ErrAPIError, zk.ErrInvalidPath, zk.ErrShortBuffer,
		state.ErrTooLarge,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.HasPrefix(err.Error(), "unknown error: ") // the library's word for a code that it does not know
}

// unsent says whether err is the library's word that it has sent nothing.
func unsent(err error) bool { return errors.Is(err, zk.ErrNoServer) }

// readError is the error of a read in our words.
func readError(err error) error {
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return state.ErrNotFound
	case errors.Is(err, zk.ErrNoAuth):
		return state.ErrDenied
	}
	return err
}

// writeError is the error of one op of a transaction, or of all of it, in our words.
func writeError(err error) error {
	switch {
	case errors.Is(err, zk.ErrNoNode), errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNodeExists),
		errors.Is(err, zk.ErrNotEmpty), errors.Is(err, zk.ErrNoChildrenForEphemerals):
		return fmt.Errorf("%s: %w", strings.TrimPrefix(err.Error(), "zk: "), state.ErrConflict)
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrAuthFailed):
		return state.ErrDenied
	case errors.Is(err, zk.ErrShortBuffer):
		return state.ErrTooLarge
	case answered(err):
		return err
	}
	return fmt.Errorf("%w: %w", state.ErrUnknown, err)
}
