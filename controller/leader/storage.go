package leader

import (
	"context"
	"errors"
	"fmt"

	"github.com/grigri/grigri/controller/plan"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// lookStorage does what becomes of a storage instance.
func (l *Leader) lookStorage(ctx context.Context, it item) error {
	if l.working[it] {
		return nil // it is looked at again when the provider has answered
	}
	m, id := it.model, state.StorageID(it.Name)
	s, there, err := l.readStorage(ctx, m, id)
	if err != nil || !there {
		return err
	}
	fate := plan.StorageFateOf(s, l.Now())
	l.again(it, fate.Again)
	switch {
	case fate.Drop:
		if fate.Why != "" {
			l.Log.Warn("storage is taken from its unit", "model", m, "storage", id, "unit", s.Unit, "why", fate.Why)
		}
		t, err := state.DropAttachment(ctx, l.Store, m, l.by(), id, fate.Why)
		if err != nil {
			return err
		}
		l.queue[it] = true
		return l.commit(ctx, it, t)
	case fate.Bury:
		if fate.Why != "" {
			l.Log.Error("storage is removed and its volume may still be there", "model", m, "storage", id, "volume", s.Volume.ID, "why", fate.Why)
		}
		t, err := state.BuryStorage(ctx, l.Store, m, l.by(), id, fate.Why)
		if err != nil {
			return err
		}
		l.enqueue(m, state.TicketModel, "")
		return l.commit(ctx, it, t)
	case fate.Ask != plan.AskNothing:
		place, ok := l.places[m]
		if !ok {
			l.enqueue(m, state.TicketModel, "")
			l.queue[it] = true
			return nil
		}
		l.job(Job{Kind: JobVolume, Place: place, item: it})
	}
	return nil
}

// readStorage reads of a storage instance and around it as much as its fate depends on.
func (c Config) readStorage(ctx context.Context, m state.ModelID, id state.StorageID) (s plan.Storage, there bool, err error) {
	rec, err := state.ReadIf[state.Storage](ctx, c.Store, m.StoragePath(id))
	if err != nil || !rec.Exists() {
		return s, false, err
	}
	s.Storage = rec.Value
	if s.Persistent {
		volume, err := state.ReadIf[state.Volume](ctx, c.Store, m.VolumePath(id))
		if err != nil {
			return s, false, err
		}
		s.Volume = volume.Value
	}
	if s.Unit == "" {
		return s, true, nil
	}
	unit, err := state.ReadIf[state.Unit](ctx, c.Store, m.UnitPath(s.Unit))
	if err != nil || !unit.Exists() {
		return s, true, err
	}
	s.Dying = unit.Value.Life != state.Alive
	if a, has := unit.Value.Attachment(id); has {
		s.Attachment = &a
	}
	ledger, err := state.ReadIf[state.Ledger](ctx, c.Store, m.LedgerPath(s.Unit))
	if err != nil {
		return s, false, err
	}
	_, s.Held = ledger.Value.Storage[id]
	if s.Agent, err = c.exists(ctx, m.AgentPath(s.Unit)); err != nil || unit.Value.Machine == "" {
		return s, err == nil, err
	}
	if s.Container = unit.Value.Machine; !s.Container.IsContainer() {
		s.Container = ""
	}
	instance, err := state.ReadIf[state.Instance](ctx, c.Store, m.InstancePath(unit.Value.Machine))
	if instance.Value.State == provider.Running {
		s.Instance, s.Zone = instance.Value.ID, instance.Value.Hardware.Zone
	}
	return s, err == nil, err
}

// volume has the provider do the next thing with the volume of a storage instance, and records its answer.
func (c Config) volume(ctx context.Context, j Job) error {
	m, id := j.item.model, state.StorageID(j.item.Name)
	s, there, err := c.readStorage(ctx, m, id)
	if err != nil || !there {
		return err
	}
	ask := plan.StorageFateOf(s, c.Now()).Ask
	if ask == plan.AskNothing {
		return nil
	}
	var volume provider.Volume
	err = within(ctx, mostCall, func(ctx context.Context) error {
		volume, err = c.askVolume(ctx, j.Place, m, id, s, ask)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		err = fmt.Errorf("%s the volume of storage %s: %w", ask, id, err)
		wait := plan.Backoff(s.Volume.Failures+1, firstRetry, mostRetry)
		if errors.Is(err, provider.ErrRefused) {
			wait = mostRetry
		}
		now := c.Now()
		return errors.Join(err, c.record(ctx, func() (state.Txn, error) {
			return state.FailVolume(ctx, c.Store, m, id, err.Error(), now, now.Add(wait))
		}))
	}
	c.Log.Info("the provider has done it", "model", m, "storage", id, "volume", volume.ID, "ask", ask)
	return c.record(ctx, func() (state.Txn, error) {
		if ask == plan.AskDelete {
			return state.BuryStorage(ctx, c.Store, m, c.by(), id, "")
		}
		return state.SetVolume(ctx, c.Store, m, id, volume, c.Now())
	})
}

// askVolume returns the volume as it is afterwards.
func (c Config) askVolume(ctx context.Context, place state.Place, m state.ModelID, id state.StorageID, s plan.Storage, ask plan.Ask) (provider.Volume, error) {
	if (ask == plan.AskCreate || ask == plan.AskAttach) && s.Container != "" {
		return provider.Volume{}, fmt.Errorf("machine %s is a container, which sees no volumes of the cloud: use a pool of the type rootfs: %w", s.Container, provider.ErrRefused)
	}
	p, err := c.Providers(ctx, place)
	if err != nil {
		return provider.Volume{}, err
	}
	v, ok := p.(provider.Volumer)
	if !ok {
		return provider.Volume{}, fmt.Errorf("cloud %q has no volumes: %w", place.Cloud, provider.ErrRefused)
	}
	volume := s.Volume.Volume
	switch ask {
	case plan.AskCreate:
		controller, err := state.Read[state.Controller](ctx, c.Store, state.ControllersPath)
		if err != nil {
			return volume, err
		}
		return v.CreateVolume(ctx, provider.VolumeRequest{Controller: controller.Value.UUID, Model: string(m), Volume: id.Node(),
			Block: s.Kind == state.Block, SizeMiB: s.SizeMiB, Zone: s.Zone, Attributes: s.Attributes})
	case plan.AskAttach:
		return v.AttachVolume(ctx, volume.ID, s.Instance)
	case plan.AskDetach:
		err := v.DetachVolume(ctx, volume.ID, volume.Instance)
		volume.Instance, volume.Device, volume.Dir = "", "", ""
		return volume, err
	}
	ids, err := c.volumesOf(ctx, v, m, id)
	if volume.ID != "" {
		ids = append(ids, volume.ID)
	}
	if err == nil && len(ids) > 0 {
		err = v.DeleteVolume(ctx, ids...)
	}
	return volume, err
}

// volumesOf is the volumes that were made for a storage instance of which none was recorded.
func (c Config) volumesOf(ctx context.Context, v provider.Volumer, m state.ModelID, id state.StorageID) ([]provider.VolumeID, error) {
	controller, err := state.Read[state.Controller](ctx, c.Store, state.ControllersPath)
	if err != nil {
		return nil, err
	}
	all, err := v.ListVolumes(ctx, controller.Value.UUID)
	if err != nil {
		return nil, err
	}
	var out []provider.VolumeID
	for _, have := range all {
		if have.Model == string(m) && have.Volume == id.Node() {
			out = append(out, have.ID)
		}
	}
	return out, nil
}

// fillStorage gives a unit the storage that it is still to have, and looks after what its machine is to see.
func (l *Leader) fillStorage(ctx context.Context, it item, u plan.Unit) error {
	if len(u.Application.Value.Storage) == 0 {
		return nil
	}
	for _, a := range u.Unit.Storage {
		if a.Persistent && !a.Ready() {
			l.enqueue(it.model, state.TicketStorage, string(a.ID))
		}
	}
	t, err := state.FillStorage(ctx, l.Store, it.model, l.by(), state.UnitName(it.Name))
	if err != nil || len(t.Ops) == 0 {
		return err
	}
	l.queue[it] = true
	return l.write(ctx, t)
}

// serveStorage looks after the storage of the machine's units when its instance is another one, or runs now.
func (l *Leader) serveStorage(it item, machine *plan.Machine) {
	now := string(machine.Instance.ID) + " " + string(machine.Instance.State)
	if machine.Instance.State == provider.Running && l.served[it] != now {
		for _, u := range machine.Units {
			l.enqueue(it.model, state.TicketUnit, string(u))
		}
	}
	l.served[it] = now
}

// endStorage begins the end of all storage of a model that goes.
func (l *Leader) endStorage(ctx context.Context, m state.ModelID, nodes []string, end state.End) error {
	for _, node := range nodes {
		var t state.Txn
		if err := state.EndStorage(ctx, l.Store, &t, m, state.StorageOfNode(node), end, !end.Destroy); err != nil {
			return err
		}
		if err := l.write(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
