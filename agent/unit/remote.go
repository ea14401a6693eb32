package unit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/grigri/grigri/agent/resolve"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/run"
	"github.com/grigri/grigri/state"
)

// remote is what is wanted of a unit that has done l, by what was last read.
func (a *Agent) remote(l resolve.Local) resolve.Remote {
	unit, app, world := a.view.unit.Value, a.view.app.Value, a.World()
	r := resolve.Remote{
		Unit:           a.Unit,
		End:            unit.End,
		Application:    app.Life,
		Answer:         unit.Answer,
		NoRetry:        !on(world.Settings, "automatically-retry-hooks"),
		Charm:          app.Charm,
		CharmRev:       app.CharmRev,
		ForceCharm:     app.ForceCharm,
		Endpoints:      slices.Sorted(maps.Keys(a.charm.Meta.Endpoints)),
		Config:         configHash(app, world.Network),
		Leader:         a.lead.leads,
		Term:           a.lead.term,
		LeaderSettings: a.view.leader,
		Boot:           a.Boot,
		Relations:      map[state.RelationID]resolve.Relation{},
		Stores:         slices.Sorted(maps.Keys(a.charm.Meta.Storage)),
		Storage:        a.storage(),
		Subordinates:   unit.Subordinates,
		Tasks:          slices.Clone(a.view.tasks),
		Commands:       a.Commands.Waiting(),
		UpdateStatus:   a.updateStatus(l, world.Settings),
	}
	r.Own, r.Others = a.secretsOf(nil)
	if !a.view.unit.Exists() || !a.view.app.Exists() {
		r.Life = state.Dead
	}
	for id, rel := range a.view.relations {
		m := rel.membership
		r.Relations[id] = resolve.Relation{
			Endpoint: m.Endpoint, Role: m.Role, Scope: m.Scope, Implicit: m.Implicit, Life: m.Life,
			Remote: state.ApplicationName(m.Remote.Application), Members: maps.Clone(rel.members), Application: rel.application,
		}
	}
	return r
}

// on is a setting that is true unless it is set otherwise.
func on(settings state.ModelConfig, key string) bool {
	v, err := strconv.ParseBool(settings[key])
	return err != nil || v
}

// configHash stands for all that config-changed is for.
func configHash(app state.Application, n Network) string {
	h := sha256.New()
	h.Write(state.Encode(app.Config))
	fmt.Fprintln(h, app.Trust, n.Public, n.Private, n.Egress)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// updateStatus is when update-status is due: after the model's interval, a fifth more or less, since the last commit.
func (a *Agent) updateStatus(l resolve.Local, settings state.ModelConfig) time.Time {
	every := 5 * time.Minute
	if d, err := time.ParseDuration(settings["update-status-hook-interval"]); err == nil {
		every = d
	}
	if every <= 0 {
		return time.Time{}
	}
	h := fnv.New32a()
	fmt.Fprint(h, a.Unit, l.When.UnixNano())
	return l.When.Add(every*8/10 + every*time.Duration(h.Sum32()%1000)*4/10000)
}

// facts is what a hook is told of where it runs.
func (a *Agent) facts() run.Facts {
	w := a.World()
	proxy := func(prefix string) run.Proxy {
		return run.Proxy{HTTP: w.Settings[prefix+"http-proxy"], HTTPS: w.Settings[prefix+"https-proxy"],
			FTP: w.Settings[prefix+"ftp-proxy"], None: orNoProxy(w.Settings, prefix+"no-proxy")}
	}
	return run.Facts{
		Unit: a.Unit, Principal: a.view.unit.Value.Principal, Machine: a.Machine, Zone: w.Zone,
		Model: a.Model, ModelName: w.Addresses.Name, APIAddresses: w.Addresses.API,
		CharmProxy: proxy("juju-"), Proxy: proxy(""),
	}
}

func orNoProxy(settings state.ModelConfig, key string) string {
	if none, set := settings[key]; set {
		return none
	}
	return state.NoProxy
}

// trim is what remains of r to tell what has been done when the hook has run: enough for resolve.Done.
func trim(r resolve.Remote, h hooks.Hook) resolve.Remote {
	if rel, ok := r.Relations[h.Relation]; ok && h.Endpoint != "" {
		members := rel.Members
		rel.Members = map[state.UnitName]state.Stamp{}
		if stamp, ok := members[h.RemoteUnit]; ok {
			rel.Members[h.RemoteUnit] = stamp
		}
		r.Relations = map[state.RelationID]resolve.Relation{h.Relation: rel}
	} else {
		r.Relations = nil
	}
	stored, has := r.Storage[h.Storage]
	r.Storage = nil
	if has {
		r.Storage = map[state.StorageID]resolve.Storage{h.Storage: stored}
	}
	r.Tasks, r.Commands, r.Subordinates, r.Own, r.Others = nil, nil, nil, nil, nil
	return r
}
