package api

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
)

// Programs is the programs of this controller, and of those that may take its place.
type Programs interface {
	// Keep has the programs of an archive ready, once they are found to be whole and to run here, and says what they are.
	Keep(ctx context.Context, hash string, archive io.Reader) (userapi.Build, error)
	// Kept says what programs are that were kept. It wraps state.ErrNotFound.
	Kept(ctx context.Context, hash string) (userapi.Build, error)
	// Next has the daemon go on with the programs, once it has been stopped. One upgrade is under way at a time.
	Next(hash string) error
	// Last is the upgrade that is under way, or the last one, if that has failed; or nil.
	Last() *userapi.Upgrade
}

var errNoPrograms = &userapi.Error{Code: userapi.Conflict, Message: "this controller does not keep its own programs: replace them where it was started"}

// maxPrograms is how large an archive of programs may be.
const maxPrograms = 1 << 30

// uploadPrograms keeps programs for this controller. Who may do that runs what he likes on the controller's machine.
func uploadPrograms(ctx context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	switch {
	case !isHash(hash):
		return nil, invalid(fmt.Sprintf("%q is not a SHA-256 in hex", hash))
	case s.Programs == nil:
		return nil, errNoPrograms
	}
	s.Log.Info("programs are uploaded", "hash", hash, "user", q.user.Name)
	b, err := s.Programs.Keep(ctx, hash, io.LimitReader(steady{q}, maxPrograms))
	if err != nil {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("upload programs: %v", err)}
	}
	return b, nil
}

// upgradeController has the controller go on with programs that were uploaded.
func upgradeController(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.UpgradeController
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if s.Programs == nil || s.Stop == nil {
		return nil, errNoPrograms
	}
	to, err := s.Programs.Kept(ctx, want.Programs)
	if err != nil {
		return nil, fmt.Errorf("upgrade the controller to %.12s: %w", want.Programs, err)
	}
	have := userapi.Build{Release: version.Grigri, Juju: version.Juju, Format: state.FormatNumber, Arch: runtime.GOARCH, Program: s.Build}
	same, err := userapi.CheckUpgrade(have, to, want.Downgrade)
	if err != nil {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("upgrade the controller: %v", err)}
	}
	if same {
		return to, nil
	}
	if err := s.Programs.Next(want.Programs); err != nil {
		return nil, &userapi.Error{Code: userapi.Conflict, Message: fmt.Sprintf("upgrade the controller: %v", err)}
	}
	s.Log.Info("the controller is upgraded", "to", want.Programs, "version", to.Release, "user", q.user.Name)
	s.Stop()
	return to, nil
}
