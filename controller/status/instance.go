package status

import (
	"fmt"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// instance says what the provider has made of a machine, and when it will try again what it could not.
func (b builder) instance(id state.MachineID, out *Machine, i state.Instance) {
	if i.ID != "" {
		out.InstanceID = string(i.ID)
	}
	out.Hardware = hardware(i.Hardware)
	out.Instance = Info{Current: string(i.State), Message: i.Message, Since: since(i.Since)}
	switch {
	case i.ID == "" && i.Error != "":
		out.Instance.Current, out.Instance.Message = "provisioning error", failed(i.Error, i.Failures, i.Retry)
	case out.Instance.Current == "":
		out.Instance.Current = "pending"
	case i.State == provider.Running && i.Message == "":
		out.Instance.Message = "Running"
	case i.State == provider.Stopped:
		out.Instance.Message = b.stopped(i)
	case i.State == provider.Gone:
		out.Instance.Current, out.Instance.Message = "error", gone(id, i)
	}
}

// stopped says what becomes of an instance that has stopped by itself.
func (b builder) stopped(i state.Instance) string {
	text := fmt.Sprintf("instance %s has stopped", i.ID)
	if i.Message != "" {
		text += " (" + i.Message + ")"
	}
	if b.s.Config.Healing().Never {
		return text + "; it is not started again, because the model's setting " + state.RestartStoppedAfter + " is " + state.RestartNever
	}
	try, at := i.NextRestart()
	text += fmt.Sprintf("; starting it again (try %d", try)
	switch {
	case i.Error != "":
		return text + "): " + failed(i.Error, i.Failures, at)
	case at.IsZero():
		return text + ")"
	}
	return text + ", not before " + moment(at) + ")"
}

// gone says what can be done about a machine whose instance is no more.
func gone(id state.MachineID, i state.Instance) string {
	return fmt.Sprintf("instance %s is gone, and what was on it is lost: add units elsewhere with add-unit, and remove this machine with remove-machine --force %s", i.ID, id)
}
