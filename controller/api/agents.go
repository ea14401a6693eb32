package api

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/controller/view"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// errToken says nothing of what is wrong: whoever guesses must not learn it.
var errToken = &userapi.Error{Code: userapi.Unauthorized, Message: "the token is not valid for this machine, or no longer"}

// enrol trades a one-time token for a certificate. The first key that comes with the token is the only one that may.
func enrol(ctx context.Context, s *Server, q *request) (any, error) {
	var want agentapi.Enrol
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	request := want.Request
	if block, _ := pem.Decode(request); block != nil {
		request = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, invalid("read the certificate request: " + err.Error())
	}
	path := want.Model.EnrolPath(want.Machine)
	if state.ValidPath(path) != nil || !isMachineOf(want) {
		return nil, errToken
	}
	key := hexSum(csr.RawSubjectPublicKeyInfo)
	if err := s.spendToken(ctx, path, want, key); err != nil {
		return nil, err
	}
	signed, err := s.Authority.Sign(pki.Request{Subject: pki.MachineName(want.Model, want.Machine), Use: pki.Client, Now: s.Now()},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	if err != nil {
		return nil, invalid(err.Error())
	}
	addresses, err := state.Read[state.Addresses](ctx, s.Store, want.Model.AddressesPath())
	if err != nil {
		return nil, fmt.Errorf("read the addresses of model %s: %w", want.Model, err)
	}
	s.Log.Info("machine enrolled", "model", want.Model, "machine", want.Machine)
	return agentapi.Enrolled{Certificate: string(signed), Addresses: addresses.Value, Chroot: s.Chroot}, nil
}

func isMachineOf(e agentapi.Enrol) bool {
	for _, c := range e.Model {
		if c == '/' || c < ' ' {
			return false
		}
	}
	_, err := state.ParseMachine(string(e.Machine))
	return e.Model != "" && err == nil
}

// spendToken checks the token, and notes the key that has come with it.
func (s *Server) spendToken(ctx context.Context, path string, want agentapi.Enrol, key string) error {
	for {
		rec, err := state.ReadIf[state.Enrolment](ctx, s.Store, path)
		if err != nil {
			return err
		}
		e := rec.Value
		right := same(e.TokenHash, hexSum([]byte(want.Token)))
		switch {
		case !rec.Exists() || !right:
			return errToken
		case e.KeyHash != "" && same(e.KeyHash, key):
			return nil
		case e.KeyHash != "" || s.Now().After(e.Expires):
			return errToken
		}
		e.KeyHash = key
		var t state.Txn
		t.Set(path, e, rec.Version)
		_, err = s.Store.Commit(ctx, t)
		if err != nil && !errors.Is(err, state.ErrConflict) && !errors.Is(err, state.ErrUnknown) {
			return fmt.Errorf("note the key of machine %s: %w", want.Machine, err)
		}
		if err == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func fetchBinary(_ context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	f, _, err := s.Agents.Open(hash)
	if err != nil {
		return nil, err
	}
	return file{f, hash}, nil
}

// fetchCharm is the archive of a charm of the machine's own model.
func fetchCharm(ctx context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	path, err := s.charms.find(ctx, s.Store, q.machineOf, hash)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, notFound("charm", hash)
	}
	f, _, err := s.Charms.Open(hash)
	if err != nil {
		return nil, err
	}
	return file{f, hash}, nil
}

// ownUnit is the unit in the path, which must be on the machine that asks.
func (s *Server) ownUnit(ctx context.Context, q *request) (state.UnitName, state.Unit, error) {
	u, err := q.unit()
	if err != nil {
		return u, state.Unit{}, err
	}
	m := q.machineOf
	machine, err := state.ReadIf[state.Machine](ctx, s.Store, m.MachinePath(q.machine))
	if err != nil {
		return u, state.Unit{}, err
	}
	if !slices.Contains(machine.Value.Units, u) {
		return u, state.Unit{}, &userapi.Error{Code: userapi.Forbidden, Message: fmt.Sprintf("unit %q is not on machine %s", u, q.machine)}
	}
	unit, err := state.Read[state.Unit](ctx, s.Store, m.UnitPath(u))
	if errors.Is(err, state.ErrNotFound) {
		err = notFound("unit", string(u))
	}
	return u, unit.Value, err
}

// goalState is what the user wants of the unit's application and of those related to it.
func goalState(ctx context.Context, s *Server, q *request) (any, error) {
	u, unit, err := s.ownUnit(ctx, q)
	if err != nil {
		return nil, err
	}
	snapshot, _, err := s.views.Read(ctx, q.machineOf)
	if err != nil {
		return nil, err
	}
	out := hooks.GoalState{Units: map[state.UnitName]hooks.Goal{}, Relations: map[string]map[string]hooks.Goal{}}
	own := u.Application()
	for other, rec := range snapshot.Units {
		if other.Application() == own {
			out.Units[other] = goalOf(rec)
		}
	}
	for _, have := range snapshot.Applications[own].Relations {
		remote := state.ApplicationName(have.Remote.Application)
		if remote == own {
			continue // a peer relation: its units are above
		}
		goals := out.Relations[have.Endpoint]
		if goals == nil {
			goals = map[string]hooks.Goal{}
			out.Relations[have.Endpoint] = goals
		}
		rel := snapshot.Relations[have.Relation]
		status := "joining"
		switch {
		case rel.Life != state.Alive:
			status = "broken"
		case slices.Contains(rel.Members, u):
			status = "joined"
		}
		goals[string(remote)] = hooks.Goal{Status: status, Since: rel.Created}
		for other, rec := range snapshot.Units {
			if other.Application() == remote && inReach(have.Scope, u, unit, other, rec.Unit) {
				goals[string(other)] = goalOf(rec)
			}
		}
	}
	return out, nil
}

// inReach says whether a unit and another one meet in a relation of the scope.
func inReach(scope charm.Scope, u state.UnitName, unit state.Unit, other state.UnitName, otherUnit state.Unit) bool {
	return scope != charm.Container || state.Scoped(scope, u, unit) == state.Scoped(scope, other, otherUnit)
}

func goalOf(u status.UnitRecord) hooks.Goal {
	switch {
	case u.Life != state.Alive:
		return hooks.Goal{Status: "dying", Since: u.Created}
	case u.Status == nil:
		return hooks.Goal{Status: "allocating", Since: u.Created}
	case u.Status.Failure != nil:
		return hooks.Goal{Status: "error", Since: u.Status.Failure.Since}
	case u.Status.Workload.Status == "":
		return hooks.Goal{Status: "unknown", Since: u.Created}
	}
	return hooks.Goal{Status: u.Status.Workload.Status, Since: u.Status.Workload.Since}
}

// applicationStatus is how the unit's application and its units are. Only the leader may know.
func applicationStatus(ctx context.Context, s *Server, q *request) (any, error) {
	u, _, err := s.ownUnit(ctx, q)
	if err != nil {
		return nil, err
	}
	m := q.machineOf
	leader, err := view.Leader(ctx, s.Store, m, u.Application())
	if err != nil {
		return nil, err
	}
	if leader != u {
		return nil, &userapi.Error{Code: userapi.Forbidden, Message: hooks.ErrNotLeader.Error()}
	}
	units, err := state.UnitsOf(ctx, s.Store, m, u.Application())
	if err != nil {
		return nil, err
	}
	out := hooks.ApplicationStatus{Units: map[state.UnitName]state.StatusInfo{}}
	for _, other := range units {
		rec, err := state.ReadIf[state.UnitStatus](ctx, s.Store, m.StatusPath(other))
		if err != nil {
			return nil, err
		}
		info := rec.Value.Workload
		if f := rec.Value.Failure; f != nil {
			info = *f
		}
		if info.Status == "" {
			info.Status = "unknown"
		}
		out.Units[other] = info
	}
	own, err := state.ReadIf[state.StatusInfo](ctx, s.Store, m.ApplicationStatusPath(u.Application()))
	if err != nil {
		return nil, err
	}
	out.Application = own.Value
	if own.Value.Status == "" || own.Value.Status == "unset" {
		out.Application = status.Worst(out.Units)
	}
	return out, nil
}
