package resolve

import (
	"maps"
	"slices"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// order is every relation that the unit is in or should be in: by id, peers last.
func order(l Local, r Remote) []state.RelationID {
	var first, peers []state.RelationID
	all := map[state.RelationID]bool{}
	for id, mine := range l.Relations {
		all[id] = mine.Peer
	}
	for id, theirs := range r.Relations {
		all[id] = theirs.Role == charm.Peer
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if all[id] {
			peers = append(peers, id)
		} else {
			first = append(first, id)
		}
	}
	return append(first, peers...)
}

// nextEntry enters each relation that is alive and tells the charm that it is there.
func nextEntry(l Local, r Remote) Op {
	for _, id := range order(l, r) {
		theirs, ok := r.Relations[id]
		if !ok || theirs.Life != state.Alive {
			continue
		}
		mine, entered := l.Relations[id]
		switch {
		case !entered && (theirs.Implicit || slices.Contains(r.Endpoints, theirs.Endpoint)):
			return Enter{id, theirs.Endpoint}
		case entered && !theirs.Implicit && !mine.Created:
			return Run{hook(hooks.RelationCreated, id, mine, "")}
		}
	}
	return nil
}

// nextRelation returns what is to be done in the first relation that has something, or nil.
func nextRelation(l Local, r Remote) Op {
	for _, id := range order(l, r) {
		mine, entered := l.Relations[id]
		if !entered {
			continue
		}
		if op := nextIn(id, mine, r); op != nil {
			return op
		}
	}
	return nil
}

// nextIn is the order of the hooks of one relation.
func nextIn(id state.RelationID, mine Heard, r Remote) Op {
	theirs, wanted := r.Relations[id]
	leaving := !wanted || theirs.Life != state.Alive || r.Life != state.Alive
	members := theirs.Members
	if leaving {
		members = nil // everyone departs
	}
	if mine.Pending != "" {
		return Run{hook(hooks.RelationChanged, id, mine, mine.Pending)}
	}
	for _, u := range slices.Sorted(maps.Keys(mine.Units)) {
		if _, still := members[u]; !still {
			h := hook(hooks.RelationDeparted, id, mine, u)
			h.Departing = u
			if r.Life != state.Alive || r.Application != state.Alive {
				h.Departing = r.Unit
			}
			return Run{h}
		}
	}
	switch {
	case leaving && mine.Peer && r.Life != state.Alive:
		return nil // the unit stays in its peers' sight to its end
	case leaving && (mine.Peer || !mine.Created):
		return Exit{id, mine.Endpoint}
	case leaving:
		return Run{hook(hooks.RelationBroken, id, mine, "")}
	case !mine.Created:
		return nil // the implicit side hears nothing
	case mine.Application != theirs.Application:
		return Run{hook(hooks.RelationChanged, id, mine, "")}
	}
	for _, u := range slices.Sorted(maps.Keys(members)) {
		if _, known := mine.Units[u]; !known {
			return Run{hook(hooks.RelationJoined, id, mine, u)}
		}
	}
	for _, u := range slices.Sorted(maps.Keys(members)) {
		if mine.Units[u] != members[u] {
			return Run{hook(hooks.RelationChanged, id, mine, u)}
		}
	}
	return nil
}

func hook(k hooks.Kind, id state.RelationID, mine Heard, u state.UnitName) hooks.Hook {
	return hooks.Hook{Kind: k, Relation: id, Endpoint: mine.Endpoint, RemoteApp: mine.Remote, RemoteUnit: u}
}
