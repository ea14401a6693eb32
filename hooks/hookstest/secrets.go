package hookstest

import (
	"context"
	"fmt"
	"maps"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// Secrets is the secrets that a Unit knows of. Nothing is encrypted here.
type Secrets struct {
	Owned  map[state.SecretID]state.Secret                // the unit's and its application's
	Heard  map[state.SecretID]state.Tracked               // others' that the unit has read
	Values map[state.SecretID]map[int]state.SecretContent // of all of them; others' that are empty are denied
	made   int
	sealed map[string]state.SecretContent // what hooks have sealed, by checksum
}

func (u *Unit) Secrets(context.Context) (map[state.SecretID]state.Secret, error) {
	return ask(u, "secrets", func() (map[state.SecretID]state.Secret, error) { return maps.Clone(u.Vault.Owned), nil })
}

func (u *Unit) Tracked(context.Context) (map[state.SecretID]state.Tracked, error) {
	return ask(u, "tracked", func() (map[state.SecretID]state.Tracked, error) { return maps.Clone(u.Vault.Heard), nil })
}

func (u *Unit) SecretContent(_ context.Context, id state.SecretID, revision int) (state.SecretContent, int, error) {
	type answer struct {
		value state.SecretContent
		n     int
	}
	a, err := ask(u, fmt.Sprintf("secret %s %d", id, revision), func() (answer, error) {
		all, known := u.Vault.Values[id]
		switch {
		case !known:
			return answer{}, fmt.Errorf("read: %w", hooks.ErrNoSecret)
		case len(all) == 0:
			return answer{}, fmt.Errorf("read: %w", hooks.ErrDenied)
		case revision == 0:
			for n := range all {
				revision = max(revision, n)
			}
		}
		value, ok := all[revision]
		if !ok {
			return answer{}, fmt.Errorf("read: %w", hooks.ErrNoSecret)
		}
		return answer{value, revision}, nil
	})
	return a.value, a.n, err
}

func (u *Unit) NewSecret(_ context.Context, application bool, value state.SecretContent) (state.SecretID, state.SealedSecret, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.Vault.made++
	id := state.SecretID(fmt.Sprintf("%020d", u.Vault.made))
	return id, u.seal(value), nil
}

func (u *Unit) SealSecret(_ context.Context, _ state.SecretID, value state.SecretContent) (state.SealedSecret, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seal(value), nil
}

func (u *Unit) seal(value state.SecretContent) state.SealedSecret {
	sum := string(state.Encode(value))
	if u.Vault.sealed == nil {
		u.Vault.sealed = map[string]state.SecretContent{}
	}
	u.Vault.sealed[sum] = value
	return state.SealedSecret{Sealed: []byte("sealed"), Checksum: sum}
}

// commitSecrets does to the secrets what a hook has asked for.
func (u *Unit) commitSecrets(e hooks.Effects) {
	v := &u.Vault
	if v.Owned == nil {
		v.Owned = map[state.SecretID]state.Secret{}
	}
	if v.Values == nil {
		v.Values = map[state.SecretID]map[int]state.SecretContent{}
	}
	if v.Heard == nil {
		v.Heard = map[state.SecretID]state.Tracked{}
	}
	for id, c := range e.Secrets {
		was := v.Owned[id]
		now := was.Apply(c, u.Now)
		v.Owned[id] = now
		if now.Removed {
			delete(v.Owned, id)
			delete(v.Values, id)
			continue
		}
		if v.Values[id] == nil {
			v.Values[id] = map[int]state.SecretContent{}
		}
		if now.Last > was.Last {
			v.Values[id][now.Last] = v.sealed[c.Value.Checksum]
		}
	}
	for id, t := range e.Tracked {
		if t == nil {
			delete(v.Heard, id)
		} else {
			v.Heard[id] = *t
		}
	}
}
