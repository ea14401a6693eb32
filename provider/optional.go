package provider

import (
	"context"
	"fmt"
	"io"
)

// What a Provider may be besides. Whoever needs one of these asks for it with a type assertion, and can do without.

// A Checker is a Provider that can tell before anything is made what would fail.
type Checker interface {
	// Check says what stands in the way of machines in this cloud: credentials, images, networks, the clock, room on disks.
	// An error means that it could not be found out.
	Check(ctx context.Context) ([]Problem, error)
}

// A Problem is one thing that must be mended before machines can be had.
type Problem struct {
	What   string `json:"what"`
	Remedy string `json:"remedy"` // what the user can do, a command if there is one
}

// A Hoster is a Provider that reaches its instances in a way of its own, to bring up a controller there. Without it they are reached by ssh.
type Hoster interface {
	// Host waits until the instance can be worked on.
	Host(ctx context.Context, id InstanceID) (Host, error)
}

// A Host is a machine on which we are root and where no agent runs yet.
type Host interface {
	// Put writes a file whole or not at all. The directory it is in is made if it is missing.
	Put(ctx context.Context, path string, mode uint32, r io.Reader) error
	// Run runs a script of sh to its end. What it prints, stdout and stderr, goes to out as it comes.
	// The error of a script that exits with another status than 0 is an *ExitError.
	Run(ctx context.Context, script string, out io.Writer) error
	Close() error
}

// An ExitError says that a script has run to its end and failed.
type ExitError struct{ Status int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Status) }

// A Profiler is a Provider that can give an instance what a charm's lxd-profile.yaml asks for.
type Profiler interface {
	// SetProfiles makes the profiles that charms want on the instance exactly want, by application name. Each is called ProfileName.
	SetProfiles(ctx context.Context, id InstanceID, want map[string]Profile) error
}

// ProfileName is how the profile that an application's charm wants of an instance is called where the instance is.
func ProfileName(id InstanceID, application string) string { return string(id) + "." + application }

// A Profile is a charm's lxd-profile.yaml.
type Profile struct {
	Description string                       `json:"description,omitempty"`
	Config      map[string]string            `json:"config,omitempty"`
	Devices     map[string]map[string]string `json:"devices,omitempty"`
}

// A VolumeID names a volume in the provider's own words.
type VolumeID string

// A VolumeRequest asks for one volume.
type VolumeRequest struct {
	Controller string            `json:"controller"`
	Model      string            `json:"model"`
	Volume     string            `json:"volume"`          // with Model the idempotency key: the same volume is never made twice. A text like data-0
	Block      bool              `json:"block,omitempty"` // the charm wants the device itself, and no file system: ErrRefused where there are none
	SizeMiB    int               `json:"sizeMiB"`
	Zone       string            `json:"zone,omitempty"` // where the machine is that will use it
	Attributes map[string]string `json:"attributes,omitempty"`
}

// A Volume is a block device, or a file system, that outlives the instances it is attached to.
type Volume struct {
	ID       VolumeID   `json:"id"`
	Model    string     `json:"model"`
	Volume   string     `json:"volume"`
	SizeMiB  int        `json:"sizeMiB"`
	Instance InstanceID `json:"instance,omitempty"` // it is attached to
	Device   string     `json:"device,omitempty"`   // where the instance sees it: a path below /dev that stays the same
	Dir      string     `json:"dir,omitempty"`      // of a file system, in place of Device: the directory where the instance sees it
}

// A Volumer is a Provider that has volumes. As with instances, every call may be made again.
type Volumer interface {
	CreateVolume(ctx context.Context, req VolumeRequest) (Volume, error)
	// AttachVolume makes the instance see the volume. Volume.Device or Volume.Dir is set in what it returns.
	// A volume that is attached to another instance is refused with ErrTransient: it may be on its way out.
	AttachVolume(ctx context.Context, v VolumeID, id InstanceID) (Volume, error)
	// DetachVolume ends that. A volume or an instance that is not there is no error.
	DetachVolume(ctx context.Context, v VolumeID, id InstanceID) error
	// DeleteVolume ends the volumes and all that is in them. One that is not there is no error; one that is attached is.
	DeleteVolume(ctx context.Context, ids ...VolumeID) error
	ListVolumes(ctx context.Context, controller string) ([]Volume, error)
}

// A Storer is a Provider that says what storage its machines can have. Of one that is none, machines are ours alone, and its
// volumes, if it is a Volumer, are in pools of the type "volume".
type Storer interface{ Storage() Storage }

// Storage is what storage there is besides directories of machines' own disks.
type Storage struct {
	Volumes string `json:"volumes,omitempty"` // the type of the pools that volumes are in: "ebs"
	Shared  bool   `json:"shared,omitempty"`  // machines are no machines of their own, but share one: no mounts of memory, no loop devices
}

// StorageOf is what storage the machines of p can have.
func StorageOf(p Provider) Storage {
	if s, ok := p.(Storer); ok {
		return s.Storage()
	}
	if _, ok := p.(Volumer); ok {
		return Storage{Volumes: "volume"}
	}
	return Storage{}
}

// A Sharer is a Provider whose machines share a host with everything else on it, so that there can be no containers on them.
type Sharer interface {
	// Shares says why that is, and what to do instead.
	Shares() string
}
