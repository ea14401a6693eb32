package hooks

import (
	"context"

	"github.com/grigri/grigri/state"
)

// A SecretReader answers what a hook may ask about secrets.
type SecretReader interface {
	// Secrets is the secrets of the unit and of its application; only the leader may change the application's.
	Secrets(ctx context.Context) (map[state.SecretID]state.Secret, error)
	// Tracked is what the unit has done about the secrets of others.
	Tracked(ctx context.Context) (map[state.SecretID]state.Tracked, error)
	// SecretContent is the value of a revision, zero for the latest, and its number. It wraps ErrNoSecret, or ErrDenied.
	SecretContent(ctx context.Context, id state.SecretID, revision int) (state.SecretContent, int, error)
}

// A SecretWriter does for secrets what takes effect at once.
type SecretWriter interface {
	// NewSecret reserves an id for a secret of the unit, or of its application, and seals its first value.
	NewSecret(ctx context.Context, application bool, value state.SecretContent) (state.SecretID, state.SealedSecret, error)
	// SealSecret seals another value of a secret that the unit may change.
	SealSecret(ctx context.Context, id state.SecretID, value state.SecretContent) (state.SealedSecret, error)
}
