package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/relation"
	"github.com/grigri/grigri/state"
)

func listRelations(ctx context.Context, s *Server, q *request) (any, error) {
	m := q.model.UUID
	names, err := state.ChildrenIf(ctx, s.Store, m.RelationsPath())
	if err != nil {
		return nil, fmt.Errorf("list relations: %w", err)
	}
	out := make([]userapi.Relation, 0, len(names))
	for _, name := range names {
		id := state.RelationIDOf(name)
		rec, err := state.ReadIf[state.Relation](ctx, s.Store, m.RelationPath(id))
		if err != nil {
			return nil, fmt.Errorf("list relations: %w", err)
		}
		if rec.Exists() {
			out = append(out, userapi.Relation{ID: id, Relation: rec.Value})
		}
	}
	slices.SortFunc(out, func(a, b userapi.Relation) int { return int(a.ID - b.ID) })
	return out, nil
}

func integrate(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.Integrate
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	if len(want.Endpoints) != 2 {
		return nil, invalid("a relation must involve two applications")
	}
	if err := checkVia(want.Via); err != nil {
		return nil, err
	}
	m := q.model.UUID
	out, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.Related, error) {
		return state.Relate(ctx, r, m, by, s.Key, want.Endpoints[0], want.Endpoints[1], want.Via...)
	})
	if err != nil {
		return nil, err
	}
	return userapi.Relation{ID: out.ID, Relation: state.Relation{Endpoints: out.Endpoints, Scope: out.Endpoints[0].Scope}}, nil
}

func removeRelation(ctx context.Context, s *Server, q *request) (any, error) {
	how, err := q.ending()
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	text := q.PathValue("relation")
	ends := strings.Fields(text)
	var decide func(context.Context, state.Reader, state.By) (state.Txn, state.RelationID, error)
	if id, err := strconv.Atoi(text); err == nil {
		decide = func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.RelationID, error) {
			return state.RemoveRelationID(ctx, r, m, by, state.RelationID(id), how)
		}
	} else if len(ends) == 2 {
		decide = func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.RelationID, error) {
			return state.RemoveRelation(ctx, r, m, by, ends[0], ends[1], how)
		}
	} else {
		return nil, invalid(fmt.Sprintf("%q is not a relation: expected its number or two endpoints", text))
	}
	id, err := change(ctx, s, q, m, decide)
	if err != nil {
		return nil, err
	}
	what := text
	if rec, err := state.ReadIf[state.Relation](ctx, s.Store, m.RelationPath(id)); err == nil && rec.Exists() {
		what = relation.Key(rec.Value.Endpoints)
	}
	return userapi.Removal{Effects: []string{"will remove relation " + what}}, nil
}

func addMachines(ctx context.Context, s *Server, q *request) (any, error) {
	var want userapi.AddMachines
	if err := q.decode(&want); err != nil {
		return nil, err
	}
	base, err := parseBase(want.Base)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	if err := s.mayContain(ctx, q.model, want.Constraints, want.Placement); err != nil {
		return nil, err
	}
	n := state.NewMachine{Constraints: want.Constraints, Base: base, Placement: want.Placement}
	ids, err := once(ctx, s, q, m, "", func(ctx context.Context, r state.Reader, by state.By) (state.Txn, []state.MachineID, error) {
		return state.AddMachines(ctx, r, m, by, s.Key, want.N, n)
	})
	return userapi.AddedMachines{Machines: ids}, err
}

func removeMachine(ctx context.Context, s *Server, q *request) (any, error) {
	id, how, err := ending(q, q.machineID)
	if err != nil {
		return nil, err
	}
	m := q.model.UUID
	keep := q.flag("keep-instance")
	gone, err := change(ctx, s, q, m, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, state.RemovedMachine, error) {
		return state.RemoveMachine(ctx, r, m, by, id, how, keep)
	})
	first := "will remove machine " + string(id)
	if keep {
		first += " (but retaining cloud instance)"
	}
	effects := []string{first}
	for _, c := range gone.Containers {
		effects = append(effects, "- will remove container "+string(c))
	}
	for _, u := range gone.Units {
		effects = append(effects, "- will remove unit "+string(u))
	}
	return userapi.Removal{Effects: effects}, err
}
