package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/rs/xid"

	"github.com/grigri/grigri/controller/vault"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (s *Server) vault(m state.ModelID, id state.SecretID) vault.Vault { return vault.Of(s.Key, m, id) }

// seal checks a value that came with a request and seals it.
func (s *Server) seal(m state.ModelID, id state.SecretID, value state.SecretContent) (state.SealedSecret, error) {
	if err := value.Valid(); err != nil {
		return state.SealedSecret{}, err
	}
	return s.vault(m, id).Seal(value), nil
}

// reveal reads a revision of a secret, zero for the latest, and opens it.
func (s *Server) reveal(ctx context.Context, m state.ModelID, id state.SecretID, secret state.Secret, revision int) (state.SecretContent, int, error) {
	sealed, revision, err := state.SecretValue(ctx, s.Store, m, id, secret, revision)
	if err != nil {
		return nil, 0, err
	}
	value, err := s.vault(m, id).Open(sealed)
	return value, revision, err
}

// newSecret reserves an id for a secret of a unit, or of its application, and seals its first value. The unit makes the secret
// when its hook has succeeded.
func newSecret(ctx context.Context, s *Server, q *request) (any, error) {
	u, _, err := s.ownUnit(ctx, q)
	if err != nil {
		return nil, err
	}
	var want agentapi.NewSecret
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	m, id := q.machineOf, state.SecretID(xid.New().String())
	sealed, err := s.seal(m, id, want.Value)
	if err != nil {
		return nil, err
	}
	owner := state.SecretOwner{Unit: u}
	if want.Application {
		owner = state.SecretOwner{Application: u.Application()}
	}
	by := state.By{User: string(u), Now: s.Now().UTC()}
	err = state.Edit(ctx, s.Store, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		return state.ReserveSecret(ctx, r, m, by, id, owner)
	})
	return agentapi.Sealed{ID: id, SealedSecret: sealed}, err
}

// sealSecret seals another value of a secret of the unit, or of its application.
func sealSecret(ctx context.Context, s *Server, q *request) (any, error) {
	u, _, err := s.ownUnit(ctx, q)
	if err != nil {
		return nil, err
	}
	var want agentapi.NewSecret
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	id, err := state.ParseSecret(q.PathValue("secret"))
	if err != nil {
		return nil, err
	}
	place, err := state.ReadIf[state.SecretPlace](ctx, s.Store, q.machineOf.SecretPlacePath(id))
	if err != nil {
		return nil, err
	}
	if o := place.Value.Owner; !place.Exists() || o.Unit != u && o.Application != u.Application() {
		return nil, notFound("secret", string(id))
	}
	sealed, err := s.seal(q.machineOf, id, want.Value)
	return agentapi.Sealed{ID: id, SealedSecret: sealed}, err
}

// readSecret is a revision of a secret that the unit may read.
func readSecret(ctx context.Context, s *Server, q *request) (any, error) {
	u, _, err := s.ownUnit(ctx, q)
	if err != nil {
		return nil, err
	}
	m := q.machineOf
	id, err := state.ParseSecret(q.PathValue("secret"))
	if err != nil {
		return nil, err
	}
	revision, err := strconv.Atoi(q.PathValue("revision"))
	if err != nil || revision < 0 {
		return nil, notFound("secret revision", fmt.Sprintf("%s/%s", id, q.PathValue("revision")))
	}
	rec, err := state.FindSecret(ctx, s.Store, m, id)
	if err != nil {
		return nil, err
	}
	may, err := state.MayReadSecret(ctx, s.Store, m, rec.Value, u)
	if err != nil {
		return nil, err
	}
	if !may {
		return nil, &userapi.Error{Code: userapi.Forbidden, Message: fmt.Sprintf("permission denied: unit %q may not read secret %q", u, id)}
	}
	value, revision, err := s.reveal(ctx, m, id, rec.Value, revision)
	return agentapi.SecretValue{Revision: revision, Value: value}, err
}

func listSecrets(ctx context.Context, s *Server, q *request) (any, error) {
	all, err := state.ListSecrets(ctx, s.Store, q.model.UUID)
	if err != nil {
		return nil, err
	}
	out := []userapi.Secret{}
	for _, v := range all {
		one, err := s.shownSecret(ctx, q.model.UUID, v)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func (s *Server) shownSecret(ctx context.Context, m state.ModelID, v state.SecretView) (userapi.Secret, error) {
	out := userapi.Secret{ID: v.ID, Secret: v.Secret}
	for _, g := range v.Grants {
		scope := "model-" + string(m)
		if g.Relation != state.NoScope {
			rel, err := state.ReadIf[state.Relation](ctx, s.Store, m.RelationPath(g.Relation))
			if err != nil {
				return out, err
			}
			var ends []string
			for _, e := range rel.Value.Endpoints {
				ends = append(ends, e.Application+"."+e.Name)
			}
			scope = "relation-" + strings.Join(ends, "#")
		}
		out.Access = append(out.Access, userapi.SecretAccess{Target: g.Target(), Scope: scope, Role: "view"})
	}
	return out, nil
}

// secretInPath is the secret that the path names.
func (s *Server) secretInPath(ctx context.Context, q *request) (userapi.Secret, error) {
	m := q.model.UUID
	id, err := state.SecretNamed(ctx, s.Store, m, q.PathValue("secret"))
	if err != nil {
		return userapi.Secret{}, err
	}
	v, err := state.ViewSecret(ctx, s.Store, m, id)
	if err != nil {
		return userapi.Secret{}, err
	}
	return s.shownSecret(ctx, m, v)
}

func showSecret(ctx context.Context, s *Server, q *request) (any, error) {
	return s.secretInPath(ctx, q)
}

func revealSecret(ctx context.Context, s *Server, q *request) (any, error) {
	out, err := s.secretInPath(ctx, q)
	if err != nil {
		return nil, err
	}
	revision, err := q.number("revision")
	if err != nil {
		return nil, err
	}
	if out.Value, out.Shown, err = s.reveal(ctx, q.model.UUID, out.ID, out.Secret, revision); err != nil {
		return nil, err
	}
	rev, _ := out.Revision(out.Shown)
	out.Checksum = rev.Checksum
	return out, nil
}

func addSecret(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.AddSecret
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if err := state.ValidSecretName(want.Name); err != nil {
		return nil, err
	}
	m, id := q.model.UUID, state.SecretID(xid.New().String())
	sealed, err := s.seal(m, id, want.Value)
	if err != nil {
		return nil, err
	}
	id, err = once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.SecretID, error) {
		return state.AddSecret(ctx, r, m, by, id, state.SecretChange{Name: &want.Name, Description: &want.Info, Value: &sealed})
	})
	return userapi.AddedSecret{ID: id}, err
}

// changeSecret makes a user's change of the secret in the path.
func (s *Server) changeSecret(ctx context.Context, q *request, what string, c state.SecretChange) (any, error) {
	_, err := once(ctx, s, q, q.model.UUID, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.SecretID, error) {
		return state.ChangeSecret(ctx, r, q.model.UUID, by, q.PathValue("secret"), what, c)
	})
	return nil, err
}

func updateSecret(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.UpdateSecret
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if want.Name != nil {
		if err := state.ValidSecretName(*want.Name); err != nil {
			return nil, err
		}
	}
	c := state.SecretChange{Name: want.Name, Description: want.Info, AutoPrune: want.AutoPrune}
	if len(want.Value) > 0 {
		m := q.model.UUID
		id, err := state.SecretNamed(ctx, s.Store, m, q.PathValue("secret"))
		if err != nil {
			return nil, err
		}
		sealed, err := s.seal(m, id, want.Value)
		if err != nil {
			return nil, err
		}
		c.Value = &sealed
	}
	return s.changeSecret(ctx, q, "update-secret", c)
}

func removeSecret(ctx context.Context, s *Server, q *request) (any, error) {
	revision, err := q.number("revision")
	if err != nil {
		return nil, err
	}
	c := state.SecretChange{Remove: revision == 0}
	if revision > 0 {
		c.Revisions = []int{revision}
	}
	return s.changeSecret(ctx, q, "remove-secret", c)
}

func grantSecret(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.GrantSecret
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if len(want.Applications) == 0 {
		return nil, invalid("no application is named")
	}
	var c state.SecretChange
	for _, a := range want.Applications {
		c.Grants = append(c.Grants, state.GrantChange{Grant: state.Grant{Application: a, Relation: state.NoScope}, Revoke: want.Revoke})
	}
	what := "grant-secret"
	if want.Revoke {
		what = "revoke-secret"
	}
	return s.changeSecret(ctx, q, what, c)
}
