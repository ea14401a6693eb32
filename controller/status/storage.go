package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/grigri/grigri/state"
)

// Storage is all storage of a model: the instances as charms have them, and what each is made of. It is {} where there is none.
type Storage struct {
	Instances   map[state.StorageID]StorageInstance `json:"storage,omitempty"`
	Filesystems map[string]Filesystem               `json:"filesystems,omitempty"`
	Volumes     map[string]Volume                   `json:"volumes,omitempty"`
}

// A StorageInstance is one storage instance.
type StorageInstance struct {
	Kind        string       `json:"kind"`
	Life        string       `json:"life,omitempty"`
	Status      Info         `json:"status"`
	Persistent  bool         `json:"persistent"`
	Attachments *Attachments `json:"attachments,omitempty"`
}

// Attachments is who has it.
type Attachments struct {
	Machines map[state.MachineID]MachineAttachment `json:"machines,omitempty"`
	Units    map[state.UnitName]UnitAttachment     `json:"units,omitempty"`
}

// A UnitAttachment is where a unit has it.
type UnitAttachment struct {
	Machine  state.MachineID `json:"machine,omitempty"`
	Location string          `json:"location,omitempty"`
	Life     string          `json:"life,omitempty"`
}

// A MachineAttachment is where a machine has it: a file system at a mount point, a volume as a device.
type MachineAttachment struct {
	MountPoint *string `json:"mount-point,omitempty"` // of every file system: empty until it is attached. Clients rely on its being there
	Device     string  `json:"device,omitempty"`
	ReadOnly   bool    `json:"read-only"`
	Life       string  `json:"life,omitempty"`
}

// A Filesystem is what filesystem storage is.
type Filesystem struct {
	ProviderID  string          `json:"provider-id,omitempty"`
	Volume      string          `json:"volume,omitempty"`
	Storage     state.StorageID `json:"storage,omitempty"`
	Attachments *Attachments    `json:"attachments,omitempty"`
	Pool        string          `json:"pool,omitempty"`
	Size        int             `json:"size"` // MiB
	Life        string          `json:"life,omitempty"`
	Status      Info            `json:"status"`
}

// A Volume is what block storage is, and what is under filesystem storage of a provider with block devices.
type Volume struct {
	ProviderID  string          `json:"provider-id,omitempty"`
	Storage     state.StorageID `json:"storage,omitempty"`
	Attachments *Attachments    `json:"attachments,omitempty"`
	Pool        string          `json:"pool,omitempty"`
	Size        int             `json:"size"` // MiB
	Persistent  bool            `json:"persistent"`
	Life        string          `json:"life,omitempty"`
	Status      Info            `json:"status"`
}

// A StorageRecord is what the tree says of a storage instance.
type StorageRecord struct {
	state.Storage
	Volume *state.Volume
}

// storage is the storage of the model.
func (b builder) storage() Storage {
	var out Storage
	for _, id := range slices.SortedFunc(maps.Keys(b.s.Storage), state.CompareStorage) {
		if out.Instances == nil {
			out.Instances = map[state.StorageID]StorageInstance{}
		}
		b.addStorage(&out, id, b.s.Storage[id])
	}
	return out
}

func (b builder) addStorage(out *Storage, id state.StorageID, r StorageRecord) {
	u, attached := b.s.Units[r.Unit]
	attached = attached && r.Unit != ""
	a, _ := u.Attachment(id)
	held := state.Held{}
	if u.Ledger != nil {
		held = u.Ledger.Storage[id]
	}
	life := string(r.Life)
	how := b.storageStatus(r, a, u, held, attached)
	var units map[state.UnitName]UnitAttachment
	machine := MachineAttachment{ReadOnly: a.ReadOnly, Life: string(a.Life)}
	location := ""
	if held.Problem == "" || held.Leaving {
		location = held.Location
	}
	if attached {
		units = map[state.UnitName]UnitAttachment{r.Unit: {Machine: b.machineOf(u), Location: location, Life: string(a.Life)}}
	}
	both := func() *Attachments {
		if !attached {
			return nil
		}
		out := &Attachments{Units: units}
		if m := b.machineOf(u); m != "" {
			out.Machines = map[state.MachineID]MachineAttachment{m: machine}
		}
		return out
	}
	instance := StorageInstance{Kind: r.Kind, Life: life, Status: how, Persistent: r.Persistent}
	if attached {
		instance.Attachments = &Attachments{Units: units}
	}
	out.Instances[id] = instance

	number := strconv.Itoa(id.Number())
	if m := b.machineOf(u); attached && !r.Persistent && m != "" {
		number = string(m) + "/" + number
	}
	providerID := ""
	if r.Volume != nil {
		providerID = string(r.Volume.ID)
	}
	block := r.Kind == state.Block || a.Device != "" || r.Volume != nil && r.Volume.Device != ""
	if block {
		machine.Device = a.Device
		if r.Kind == state.Block && location != "" {
			machine.Device = location
		}
		if out.Volumes == nil {
			out.Volumes = map[string]Volume{}
		}
		out.Volumes[number] = Volume{ProviderID: providerID, Storage: id, Attachments: both(), Pool: r.Pool, Size: r.SizeMiB, Persistent: r.Persistent, Life: life, Status: how}
	}
	if r.Kind != state.Filesystem {
		return
	}
	machine.Device, machine.MountPoint = "", &location
	f := Filesystem{ProviderID: providerID, Storage: id, Attachments: both(), Pool: r.Pool, Size: r.SizeMiB, Life: life, Status: how}
	if block {
		f.Volume, f.ProviderID = number, ""
	}
	if out.Filesystems == nil {
		out.Filesystems = map[string]Filesystem{}
	}
	out.Filesystems[number] = f
}

// storageStatus is how far the storage is.
func (b builder) storageStatus(r StorageRecord, a state.Attachment, u UnitRecord, held state.Held, attached bool) Info {
	at := since(r.Created)
	switch {
	case r.Volume != nil && r.Volume.Problem != "":
		return Info{Current: "error", Message: r.Volume.Problem, Since: since(r.Volume.Since)}
	case attached && held.Problem != "":
		return Info{Current: "error", Message: held.Problem, Since: since(held.At)}
	case !attached && r.Life != state.Alive:
		return Info{Current: "destroying", Since: at}
	case !attached && (r.Volume == nil || r.Volume.ID == ""):
		return Info{Current: "pending", Since: at}
	case !attached && r.Volume.Instance != "":
		return Info{Current: "detaching", Since: since(r.Volume.Since)}
	case !attached:
		return Info{Current: "detached", Since: since(r.Volume.Since)}
	case a.Life != state.Alive || u.Life != state.Alive:
		message := "waiting for " + string(r.Unit) + " to let go of it"
		if !a.Deadline.IsZero() {
			message += ", until " + a.Deadline.UTC().Format("15:04:05 UTC")
		}
		return Info{Current: "detaching", Message: message, Since: at}
	case held.Location != "":
		return Info{Current: "attached", Since: at}
	case r.Persistent && a.Ready():
		return Info{Current: "attaching", Since: at}
	}
	return Info{Current: "pending", Since: at}
}

// in is the storage with its times shown.
func (s Storage) in(show func(Info) Info) Storage {
	out := Storage{Instances: maps.Clone(s.Instances), Filesystems: maps.Clone(s.Filesystems), Volumes: maps.Clone(s.Volumes)}
	for id, i := range out.Instances {
		i.Status = show(i.Status)
		out.Instances[id] = i
	}
	for id, f := range out.Filesystems {
		f.Status = show(f.Status)
		out.Filesystems[id] = f
	}
	for id, v := range out.Volumes {
		v.Status = show(v.Status)
		out.Volumes[id] = v
	}
	return out
}

// only keeps of the storage only what these units have.
func (s Storage) only(has func(state.UnitName) bool) Storage {
	var out Storage
	keep := map[state.StorageID]bool{}
	for id, i := range s.Instances {
		if i.Attachments == nil {
			continue
		}
		for u := range i.Attachments.Units {
			if has(u) {
				keep[id] = true
			}
		}
	}
	for id := range keep {
		if out.Instances == nil {
			out.Instances = map[state.StorageID]StorageInstance{}
		}
		out.Instances[id] = s.Instances[id]
	}
	for id, f := range s.Filesystems {
		if keep[f.Storage] {
			if out.Filesystems == nil {
				out.Filesystems = map[string]Filesystem{}
			}
			out.Filesystems[id] = f
		}
	}
	for id, v := range s.Volumes {
		if keep[v.Storage] {
			if out.Volumes == nil {
				out.Volumes = map[string]Volume{}
			}
			out.Volumes[id] = v
		}
	}
	return out
}

// A StorageRow is a storage instance with the unit that has it, which may be none, and what it is made of.
type StorageRow struct {
	Unit     state.UnitName
	Machine  state.MachineID
	ID       state.StorageID
	Instance StorageInstance
	Part     string // the id of the file system or the volume
	Provider string // what the provider calls it
	Pool     string
	Location string
	Size     int
}

// Rows is all storage, what nobody has first, then by unit.
func (s Storage) Rows() []StorageRow {
	var out []StorageRow
	for id, i := range s.Instances {
		row := StorageRow{ID: id, Instance: i}
		for part, f := range s.Filesystems {
			if f.Storage == id {
				row.Part, row.Provider, row.Pool, row.Size = part, f.ProviderID, f.Pool, f.Size
			}
		}
		for part, v := range s.Volumes {
			if v.Storage != id {
				continue
			}
			if row.Part == "" {
				row.Part, row.Pool, row.Size = part, v.Pool, v.Size
			}
			row.Provider = cmp.Or(row.Provider, v.ProviderID)
		}
		if i.Attachments != nil {
			for u, a := range i.Attachments.Units {
				row.Unit, row.Machine, row.Location = u, a.Machine, a.Location
			}
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b StorageRow) int {
		return cmp.Or(CompareNatural(string(a.Unit), string(b.Unit)), state.CompareStorage(a.ID, b.ID))
	})
	return out
}

// Size is a size as tables show it.
func Size(mib int) string {
	if mib == 0 {
		return ""
	}
	v, i := float64(mib), 0
	for units := 3; v >= 1024 && i < units; i++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %s", v, []string{"MiB", "GiB", "TiB", "PiB"}[i])
}

// storageTable is the section of the status.
func storageTable(s Storage) Table {
	t := Table{Header: []string{"Storage Unit", "Storage ID", "Type", "Pool", "Mountpoint", "Size", "Status", "Message"}}
	for _, r := range s.Rows() {
		t.Add(plain(string(r.Unit)), plain(string(r.ID)), plain(r.Instance.Kind), plain(r.Pool), plain(r.Location), plain(Size(r.Size)),
			word(r.Instance.Status.Current), grey(r.Instance.Status.Message))
	}
	return t
}

// StorageTables is what "storage" prints: "storage", or for "filesystem" and "volume" what it is made of.
func StorageTables(s Storage, what string) Table {
	var t Table
	switch what {
	case "filesystem":
		t.Header = []string{"Machine", "Unit", "Storage ID", "ID", "Provider ID", "Mountpoint", "Size", "State", "Message"}
		for _, r := range s.Rows() {
			if r.Instance.Kind == state.Filesystem {
				t.Add(plain(string(r.Machine)), plain(string(r.Unit)), plain(string(r.ID)), plain(r.Part), plain(r.Provider), plain(r.Location),
					plain(Size(r.Size)), word(r.Instance.Status.Current), plain(r.Instance.Status.Message))
			}
		}
	case "volume":
		t.Header = []string{"Machine", "Unit", "Storage ID", "Volume ID", "Provider ID", "Device", "Size", "State", "Message"}
		for _, r := range s.Rows() {
			for _, id := range slices.Sorted(maps.Keys(s.Volumes)) {
				v := s.Volumes[id]
				if v.Storage != r.ID {
					continue
				}
				device := ""
				if v.Attachments != nil {
					device = v.Attachments.Machines[r.Machine].Device
				}
				t.Add(plain(string(r.Machine)), plain(string(r.Unit)), plain(string(r.ID)), plain(id), plain(v.ProviderID), plain(device),
					plain(Size(v.Size)), word(v.Status.Current), plain(v.Status.Message))
			}
		}
	default:
		t.Header = []string{"Unit", "Storage ID", "Type", "Pool", "Size", "Status", "Message"}
		for _, r := range s.Rows() {
			t.Add(plain(string(r.Unit)), plain(string(r.ID)), plain(r.Instance.Kind), plain(r.Pool), plain(Size(r.Size)),
				word(r.Instance.Status.Current), plain(r.Instance.Status.Message))
		}
	}
	return t
}
