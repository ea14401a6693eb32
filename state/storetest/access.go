package storetest

import (
	"slices"

	"github.com/grigri/grigri/state"
)

const (
	model   state.ModelID   = "3f0c0a52-7f33-4c1b-9d0e-6a4f7c1d2e3f"
	machine state.MachineID = "4"
	unit    state.UnitName  = "web/0"
)

var accessTests = []contract{
	{"controllers alone, where nothing else is said", func(t *suite) {
		t.model()
		c := t.Machine(t, model, machine)
		t.prove(c, model.ModelAgents(), state.Agents)
		for _, path := range []string{"/", state.ModelsPath, model.Path(), model.UnitsPath(), state.UsersPath} {
			_, err := c.Get(t.ctx, path)
			t.want("get "+path, err, state.ErrDenied)
			_, err = c.Children(t.ctx, path)
			t.want("children of "+path, err, state.ErrDenied)
			_, err = t.try(c, func(x *state.Txn) { x.Check(path, state.Any) })
			t.want("check "+path, err, state.ErrDenied)
			_, err = t.try(c, func(x *state.Txn) { x.Set(path, 1, state.Any) })
			t.want("set "+path, err, state.ErrDenied)
		}
		_, err := t.try(c, func(x *state.Txn) { x.Create("/a", 1) })
		t.want("create", err, state.ErrDenied)
		_, err = t.try(c, func(x *state.Txn) { x.Delete(state.UsersPath, 0) })
		t.want("delete", err, state.ErrDenied)
		_, err = c.Get(t.ctx, "/nowhere")
		t.want("get what is not there", err, state.ErrNotFound)
	}},
	{"a certificate opens the machine's own", func(t *suite) {
		t.model()
		other := state.MachineID("5")
		t.make(model.MachinePath(other), model.SecretsPath(other))
		c := t.Machine(t, model, machine)
		if _, err := c.Get(t.ctx, model.SecretsPath(machine)); err != nil {
			t.Error(err)
		}
		_, err := c.Get(t.ctx, model.SecretsPath(other))
		t.want("another's secrets", err, state.ErrDenied)
		_, err = t.try(c, func(x *state.Txn) { x.Set(model.SecretsPath(machine), 1, state.Any) })
		t.want("write its secrets", err, state.ErrDenied)
		t.commit(c, func(x *state.Txn) { x.Ephemeral(model.MachineAgentPath(machine), 1) })
		_, err = t.try(c, func(x *state.Txn) { x.Ephemeral(model.MachineAgentPath(other), 1) })
		t.want("be another", err, state.ErrDenied)
		t.commit(c, func(x *state.Txn) { x.Delete(model.MachineAgentPath(machine), 0) })
		stranger := t.Machine(t, "another-model", machine)
		_, err = stranger.Get(t.ctx, model.SecretsPath(machine))
		t.want("the machine of that number of another model", err, state.ErrDenied)
	}},
	{"a secret opens what it is for", func(t *suite) {
		t.model()
		c := t.Machine(t, model, machine)
		_, err := c.Get(t.ctx, model.ConfigPath())
		t.want("before", err, state.ErrDenied)
		wrong := state.Credential{Principal: model.ModelAgents(), Secret: "a guess"}
		if err := c.Prove(t.ctx, wrong); err != nil {
			t.Error(err)
		}
		_, err = c.Get(t.ctx, model.ConfigPath())
		t.want("with a guess", err, state.ErrDenied)
		for range 3 {
			t.prove(c, model.ModelAgents())
		}
		if _, err := c.Get(t.ctx, model.ConfigPath()); err != nil {
			t.Error(err)
		}
		_, err = t.try(c, func(x *state.Txn) { x.Set(model.ConfigPath(), 1, state.Any) })
		t.want("write it", err, state.ErrDenied)
		t.prove(c, model.UnitPrincipal(unit))
		if _, err := c.Get(t.ctx, model.UnitPath(unit)); err != nil {
			t.Error(err)
		}
		t.commit(c, func(x *state.Txn) {
			x.Create(model.StatusPath(unit), 1)
			x.Set(model.StatusPath(unit), 2, 0)
			x.Check(model.UnitPath(unit), 0)
			x.Delete(model.StatusPath(unit), 1)
		})
	}},
	{"a proof holds for later connections and sessions", func(t *suite) {
		t.model()
		c := t.Machine(t, model, machine)
		t.prove(c, model.ModelAgents())
		t.Disconnect(t, c)
		if _, err := c.Get(t.ctx, model.ConfigPath()); err != nil {
			t.Errorf("after a broken connection: %v", err)
		}
		t.Expire(t, c)
		if _, err := c.Get(t.ctx, model.ConfigPath()); err != nil {
			t.Errorf("after an expiry: %v", err)
		}
	}},
	{"who may create need not read", func(t *suite) {
		t.model()
		c := t.Machine(t, model, machine)
		t.prove(c, model.ModelAgents())
		created := t.commit(c, func(x *state.Txn) { x.Tell(model, state.TicketUnit, string(unit)) })
		_, err := c.Get(t.ctx, created[0])
		t.want("read a ticket", err, state.ErrDenied)
		_, err = c.Children(t.ctx, model.ChangesPath())
		t.want("list the tickets", err, state.ErrDenied)
		_, err = t.try(c, func(x *state.Txn) { x.Delete(created[0], state.Any) })
		t.want("delete a ticket", err, state.ErrDenied)
		if names := t.children(model.ChangesPath()); !slices.Equal(names, []string{"unit=web-0:0000000000"}) {
			t.Errorf("tickets: %v", names)
		}
	}},
	{"a node's access needs all its secrets", func(t *suite) {
		t.model()
		rel := state.RelationID(7)
		t.make(model.RelationPath(rel), model.SidePath(rel, "web"))
		c := t.Machine(t, model, machine)
		t.prove(c, model.RelationPrincipal(rel))
		enter := func(x *state.Txn) { x.Create(model.MemberPath(rel, "", unit), 1) }
		_, err := t.try(c, enter)
		t.want("without the unit's own", err, state.ErrDenied)
		t.prove(c, model.UnitPrincipal(unit))
		t.commit(c, enter)
		other := t.Machine(t, model, "5")
		t.prove(other, model.RelationPrincipal(rel), model.UnitPrincipal("db/0"))
		if _, err := other.Get(t.ctx, model.MemberPath(rel, "", unit)); err != nil {
			t.Errorf("the other side reads: %v", err)
		}
		_, err = t.try(other, func(x *state.Txn) { x.Set(model.MemberPath(rel, "", unit), 2, state.Any) })
		t.want("the other side writes", err, state.ErrDenied)
	}},
	{"one op that is denied stops all", func(t *suite) {
		t.model()
		c := t.Machine(t, model, machine)
		t.prove(c, model.UnitPrincipal(unit))
		_, err := t.try(c, func(x *state.Txn) {
			x.Create(model.StatusPath(unit), 1)
			x.Set(model.UnitPath(unit), 1, state.Any)
		})
		t.want("commit", err, state.ErrDenied)
		if names := t.children(model.UnitPath(unit)); len(names) != 0 {
			t.Errorf("the unit has %v", names)
		}
	}},
}

// model makes a model with a machine and a unit.
func (t *suite) model() {
	t.Helper()
	t.make(slices.Concat(state.Roots(), []string{model.Path()}, model.Directories(), []string{
		model.ConfigPath(), model.MachinePath(machine), model.SecretsPath(machine), model.UnitPath(unit),
	})...)
}

func (t *suite) prove(s state.Store, principals ...state.Principal) {
	t.Helper()
	for _, p := range principals {
		if err := s.Prove(t.ctx, t.Key.Credential(p)); err != nil {
			t.Fatal(err)
		}
	}
}
