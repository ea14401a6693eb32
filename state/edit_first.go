package state

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

// FirstMachine is the machine of the controllers' own model that the first controller is on.
const FirstMachine MachineID = "0"

// A FirstHost is what there is of that machine before there is a tree.
type FirstHost struct {
	Instance provider.Instance `json:"instance"`
	Manual   string            `json:"manual,omitempty"` // how its user logs in, if no provider has made it
	Base     string            `json:"base,omitempty"`   // ubuntu@22.04
}

// AddFirstMachine makes the machine of the host that the first controller is on, and lets it enrol. When it is there nothing changes.
func AddFirstMachine(ctx context.Context, r Reader, m ModelID, by By, key Key, h FirstHost) (Txn, error) {
	var t Txn
	there, err := Exists(ctx, r, m.MachinePath(FirstMachine))
	if err != nil || there {
		return t, err
	}
	numbers, err := count(ctx, r, m, "machine", 0)
	if err != nil {
		return t, err
	}
	if n := numbers.take(); n != 0 {
		return t, fmt.Errorf("make the controller's machine: its number was given away: the next is %d", n)
	}
	numbers.save(&t)
	name, channel, _ := strings.Cut(h.Base, "@")
	in := h.Instance
	in.Model, in.Machine, in.State = string(m), string(FirstMachine), provider.Running
	addMachine(&t, m, key, FirstMachine, Machine{Base: charm.Base{Name: name, Channel: channel}, Manual: h.Manual, Created: by.Now})
	t.Create(m.InstancePath(FirstMachine), Instance{Instance: in, Since: by.Now})
	t.Create(m.EnrolPath(FirstMachine), Enrolment{TokenHash: HashToken(key.EnrolmentToken(m, FirstMachine)), Expires: by.Now.Add(7 * 24 * time.Hour)})
	return t, nil
}
