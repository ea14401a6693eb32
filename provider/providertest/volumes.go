package providertest

import (
	"context"
	"errors"
	"slices"

	"github.com/grigri/grigri/provider"
)

// volumer is the provider if it has volumes; otherwise the test ends.
func (w *world) volumer() provider.Volumer {
	w.Helper()
	v, ok := w.p.(provider.Volumer)
	if !ok {
		w.Skip("this provider has no volumes")
	}
	if s := provider.StorageOf(w.p); s.Volumes == "" {
		w.Errorf("it has volumes and no type of pools for them: %+v", s)
	}
	return v
}

// volume makes a volume where the instance is that will have it.
func (w *world) volume(v provider.Volumer, controller, model, name string, in provider.Instance) provider.Volume {
	w.Helper()
	vol, err := v.CreateVolume(w.Context(), provider.VolumeRequest{Controller: controller, Model: model, Volume: name, SizeMiB: 1024, Zone: in.Hardware.Zone})
	if err != nil {
		w.Fatalf("create volume %s: %v", name, err)
	}
	if vol.ID == "" || vol.Model != model || vol.Volume != name {
		w.Fatalf("created %+v for %s of model %s", vol, name, model)
	}
	return vol
}

func (w *world) volumes(v provider.Volumer, controller string) []provider.Volume {
	w.Helper()
	all, err := v.ListVolumes(w.Context(), controller)
	if err != nil {
		w.Fatalf("list volumes: %v", err)
	}
	return all
}

func (w *world) find(v provider.Volumer, id provider.VolumeID) (provider.Volume, bool) {
	w.Helper()
	all := w.volumes(v, w.controllerA)
	i := slices.IndexFunc(all, func(have provider.Volume) bool { return have.ID == id })
	if i < 0 {
		return provider.Volume{}, false
	}
	return all[i], true
}

// attach attaches the volume, again while the provider says that it is busy.
func (w *world) attach(v provider.Volumer, id provider.VolumeID, in provider.InstanceID) provider.Volume {
	w.Helper()
	var out provider.Volume
	w.await("volume "+string(id)+" attached to "+string(in), func() bool {
		var err error
		out, err = v.AttachVolume(w.Context(), id, in)
		if err != nil && !errors.Is(err, provider.ErrTransient) {
			w.Fatalf("attach volume %s to %s: %v", id, in, err)
		}
		return err == nil
	})
	if out.Instance != in || (out.Device == "") == (out.Dir == "") {
		w.Fatalf("attached to %s: %+v; want either a device or a directory", in, out)
	}
	return out
}

func (w *world) detach(v provider.Volumer, id provider.VolumeID, in provider.InstanceID) {
	w.Helper()
	if err := v.DetachVolume(w.Context(), id, in); err != nil {
		w.Fatalf("detach volume %s from %s: %v", id, in, err)
	}
}

func (w *world) cleanVolumes(ctx context.Context, controller string) {
	v, ok := w.p.(provider.Volumer)
	if !ok {
		return
	}
	all, err := v.ListVolumes(ctx, controller)
	if err != nil {
		w.Errorf("list the volumes that are left: %v", err)
	}
	for _, vol := range all {
		if vol.Instance != "" {
			if err := v.DetachVolume(ctx, vol.ID, vol.Instance); err != nil {
				w.Errorf("detach what is left: %v", err)
			}
		}
		w.await("volume "+string(vol.ID)+" deleted", func() bool { return v.DeleteVolume(ctx, vol.ID) == nil })
	}
}

func volumeOnce(w *world) {
	v := w.volumer()
	in := w.running(w.controllerA, w.start(w.controllerA, modelA, "0").ID)
	a, b := w.volume(v, w.controllerA, modelA, "data-0", in), w.volume(v, w.controllerA, modelA, "data-0", in)
	if a.ID != b.ID {
		w.Errorf("made %s, then %s for the same storage", a.ID, b.ID)
	}
	w.open()
	v = w.volumer()
	if again := w.volume(v, w.controllerA, modelA, "data-0", in); again.ID != a.ID {
		w.Errorf("a new provider made %s beside %s", again.ID, a.ID)
	}
	if all := w.volumes(v, w.controllerA); len(all) != 1 || all[0].ID != a.ID || all[0].Instance != "" {
		w.Errorf("there are %+v", all)
	}
}

func volumeMoves(w *world) {
	v := w.volumer()
	one := w.running(w.controllerA, w.start(w.controllerA, modelA, "0").ID)
	two := w.running(w.controllerA, w.start(w.controllerA, modelA, "1").ID)
	vol := w.volume(v, w.controllerA, modelA, "data-0", one)
	first := w.attach(v, vol.ID, one.ID)
	if again := w.attach(v, vol.ID, one.ID); again.Device != first.Device || again.Dir != first.Dir {
		w.Errorf("attached again it was moved from %+v to %+v", first, again)
	}
	if have, _ := w.find(v, vol.ID); have.Instance != one.ID {
		w.Errorf("listed as %+v, and %s has it", have, one.ID)
	}
	if out, err := v.AttachVolume(w.Context(), vol.ID, two.ID); !errors.Is(err, provider.ErrTransient) {
		w.Errorf("attached elsewhere at the same time: %+v, %v; want an error that wraps ErrTransient", out, err)
	}
	w.detach(v, vol.ID, two.ID) // which does not have it
	if have, _ := w.find(v, vol.ID); have.Instance != one.ID {
		w.Errorf("detached from another instance it is %+v", have)
	}
	w.detach(v, vol.ID, one.ID)
	w.detach(v, vol.ID, one.ID)
	w.attach(v, vol.ID, two.ID)
	if have, _ := w.find(v, vol.ID); have.Instance != two.ID {
		w.Errorf("listed as %+v, and %s has it", have, two.ID)
	}
}

func volumeOutlives(w *world) {
	v := w.volumer()
	one := w.running(w.controllerA, w.start(w.controllerA, modelA, "0").ID)
	vol := w.volume(v, w.controllerA, modelA, "data-0", one)
	w.attach(v, vol.ID, one.ID)
	w.stop(one.ID)
	w.await("the machine gone", func() bool { return len(w.ids(w.controllerA)) == 0 })
	if _, there := w.find(v, vol.ID); !there {
		w.Fatal("the volume went with the machine")
	}
	w.detach(v, vol.ID, one.ID)
	two := w.running(w.controllerA, w.start(w.controllerA, modelA, "1").ID)
	w.attach(v, vol.ID, two.ID)
}

func volumeDeleted(w *world) {
	v := w.volumer()
	in := w.running(w.controllerA, w.start(w.controllerA, modelA, "0").ID)
	a, b := w.volume(v, w.controllerA, modelA, "data-0", in), w.volume(v, w.controllerA, modelA, "data-1", in)
	w.attach(v, a.ID, in.ID)
	if err := v.DeleteVolume(w.Context(), a.ID); err == nil {
		w.Error("a volume was deleted that an instance has")
	}
	w.detach(v, a.ID, in.ID)
	w.await("both deleted", func() bool { return v.DeleteVolume(w.Context(), a.ID, b.ID) == nil })
	w.await("none listed", func() bool { return len(w.volumes(v, w.controllerA)) == 0 })
	if err := v.DeleteVolume(w.Context(), a.ID, b.ID); err != nil {
		w.Errorf("deleted again: %v", err)
	}
	if again := w.volume(v, w.controllerA, modelA, "data-0", in); again.Instance != "" {
		w.Errorf("made again it is %+v", again)
	}
}

func volumesApart(w *world) {
	v := w.volumer()
	in := w.running(w.controllerA, w.start(w.controllerA, modelA, "0").ID)
	a, b := w.volume(v, w.controllerA, modelA, "data-0", in), w.volume(v, w.controllerA, modelB, "data-0", in)
	c := w.volume(v, w.controllerB, modelA, "data-0", in)
	if a.ID == b.ID || a.ID == c.ID || b.ID == c.ID {
		w.Errorf("%s, %s and %s are not apart", a.ID, b.ID, c.ID)
	}
	if all := w.volumes(v, w.controllerA); len(all) != 2 {
		w.Errorf("one controller has %+v", all)
	}
	if all := w.volumes(v, w.controllerB); len(all) != 1 || all[0].ID != c.ID {
		w.Errorf("the other controller has %+v", all)
	}
}

func volumeUnknown(w *world) {
	v := w.volumer()
	if err := v.DeleteVolume(w.Context()); err != nil {
		w.Errorf("delete nothing: %v", err)
	}
	in := w.running(w.controllerA, w.start(w.controllerA, modelA, "0").ID)
	vol := w.volume(v, w.controllerA, modelA, "data-0", in)
	w.attach(v, vol.ID, in.ID)
	w.detach(v, vol.ID, in.ID)
	w.await("it deleted", func() bool { return v.DeleteVolume(w.Context(), vol.ID) == nil })
	w.detach(v, vol.ID, in.ID)
	if err := v.DeleteVolume(w.Context(), vol.ID); err != nil {
		w.Errorf("delete what is gone: %v", err)
	}
	if out, err := v.AttachVolume(w.Context(), vol.ID, in.ID); !errors.Is(err, provider.ErrNotFound) {
		w.Errorf("attach what is gone: %+v, %v; want an error that wraps ErrNotFound", out, err)
	}
}
