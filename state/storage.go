package state

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/provider"
)

// A StorageID names one storage instance: "data/0". Its number is never given twice in a model, whatever comes before it.
type StorageID string

// Name is the charm's name for it: "data".
func (s StorageID) Name() string { return string(s[:max(0, strings.LastIndexByte(string(s), '/'))]) }

// Number is its number in the model.
func (s StorageID) Number() int {
	n, _ := strconv.Atoi(string(s[strings.LastIndexByte(string(s), '/')+1:]))
	return n
}

// Node is the storage as the name of a node and in file names: "data-0".
func (s StorageID) Node() string { return strings.ReplaceAll(string(s), "/", "-") }

// StorageOfNode is the storage whose Node is n.
func StorageOfNode(n string) StorageID { return StorageID(UnitOfNode(n)) }

// CompareStorage orders storage by number.
func CompareStorage(a, b StorageID) int { return a.Number() - b.Number() }

// ParseStorage checks that s is the id of a storage instance.
func ParseStorage(s string) (StorageID, error) {
	name, n, ok := strings.Cut(s, "/")
	if i, err := strconv.Atoi(n); !ok || name == "" || err != nil || i < 0 || strconv.Itoa(i) != n || strings.ContainsAny(name, " :@") {
		return "", invalid("%q is not a valid storage ID: want name/number", s)
	}
	return StorageID(s), nil
}

// The kinds of storage, as charms declare them.
const (
	Filesystem = "filesystem"
	Block      = "block"
)

// The types of pool that need nothing but a machine. What is in them ends with the machine or with their unit.
const (
	RootFS = "rootfs" // a directory of the machine's own disk
	TmpFS  = "tmpfs"  // memory
	Loop   = "loop"   // a file of the machine's own disk, as a block device
)

// A Storage is one storage instance. Controllers write it.
type Storage struct {
	Kind       string            `json:"kind"`
	Pool       string            `json:"pool"`
	Type       string            `json:"type"`                 // the pool's
	Attributes map[string]string `json:"attributes,omitempty"` // the pool's, when it was made
	SizeMiB    int               `json:"sizeMiB"`
	Persistent bool              `json:"persistent,omitempty"` // a volume of the provider's: it outlives its unit and machine
	Unit       UnitName          `json:"unit,omitempty"`       // whose it is, attached or about to be; empty: nobody's
	Release    bool              `json:"release,omitempty"`    // the volume stays where it is when the storage goes
	Created    time.Time         `json:"created"`
	End
}

// An Attachment is a storage instance as its unit sees it: what is wanted.
type Attachment struct {
	ID         StorageID         `json:"id"`
	Kind       string            `json:"kind"`
	Type       string            `json:"type"`
	Attributes map[string]string `json:"attributes,omitempty"`
	SizeMiB    int               `json:"sizeMiB,omitempty"`
	ReadOnly   bool              `json:"readOnly,omitempty"`
	Location   string            `json:"location,omitempty"`   // where the charm wants it; empty: in the usual place
	Persistent bool              `json:"persistent,omitempty"` // it is there when the machine sees Device or Dir
	Device     string            `json:"device,omitempty"`     // provider.Volume's
	Dir        string            `json:"dir,omitempty"`        // provider.Volume's
	End
}

// Ready says whether the unit can put it in its place.
func (a Attachment) Ready() bool { return !a.Persistent || a.Device != "" || a.Dir != "" }

// A Held is a storage instance that its unit has put in its place, or has tried to.
type Held struct {
	Kind     string    `json:"kind"`
	Location string    `json:"location"`           // a directory, or a block device
	Attached bool      `json:"attached,omitempty"` // the charm has been told, and not yet that it goes
	Problem  string    `json:"problem,omitempty"`  // why it is not in its place, or does not leave it
	Leaving  bool      `json:"leaving,omitempty"`  // of Problem: which of the two
	Failures int       `json:"failures,omitempty"` // in a row
	At       time.Time `json:"at,omitzero"`        // of the last of them
}

// A Volume is what the leader has had made for a persistent storage instance, and how that stands.
type Volume struct {
	provider.Volume
	Problem  string    `json:"problem,omitempty"` // what the provider has last refused
	Failures int       `json:"failures,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`
	Since    time.Time `json:"since"`
}

// A Pool is a source of storage, as users name it.
type Pool struct {
	Type       string            `json:"type"` // rootfs, tmpfs, loop, or the provider's own
	Attributes map[string]string `json:"attributes,omitempty"`
}

// A Directive is what a user wants of one storage of a charm. Zero fields are left to the charm and the model.
type Directive struct {
	Pool    string `json:"pool,omitempty"`
	Type    string `json:"type,omitempty"` // the pool's, once the directive is an application's
	SizeMiB int    `json:"sizeMiB,omitempty"`
	Count   int    `json:"count,omitempty"`
}

// String is the directive as users write it: "ebs,10240M,2".
func (d Directive) String() string {
	var parts []string
	if d.Pool != "" {
		parts = append(parts, d.Pool)
	}
	if d.SizeMiB > 0 {
		parts = append(parts, fmt.Sprintf("%dM", d.SizeMiB))
	}
	if d.Count > 0 {
		parts = append(parts, strconv.Itoa(d.Count))
	}
	return strings.Join(parts, ",")
}
