// Package provider says what a machine is and what must be able to make one.
// It is pure and has no implementation, so that a plugin can import it alone.
package provider

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that a Provider wraps.
var (
	ErrNotFound  = errors.New("no such instance")
	ErrTransient = errors.New("try again later")                 // a quota, a throttle, a timeout: the caller backs off
	ErrRefused   = errors.New("the provider will never do this") // a constraint or an image that cannot be had
)

// An InstanceID names an instance in the provider's own words.
type InstanceID string

// A State is how far an instance has come.
type State string

// The states of an instance.
const (
	Pending State = "pending"
	Running State = "running"
	Stopped State = "stopped" // it exists and does not run
	Gone    State = "gone"
)

// An Instance is a machine that the provider has made.
type Instance struct {
	ID        InstanceID `json:"id"`
	Model     string     `json:"model"`   // the model's UUID it was started for
	Machine   string     `json:"machine"` // the machine it was started for
	State     State      `json:"state"`
	Message   string     `json:"message,omitempty"`   // the provider's own words
	Addresses []string   `json:"addresses,omitempty"` // the first is the one to reach it by
	Hardware  Hardware   `json:"hardware"`
}

// Hardware is what an instance has. A zero field is not known.
type Hardware struct {
	Arch      string `json:"arch,omitempty"`
	Cores     int    `json:"cores,omitempty"`
	MemoryMiB int    `json:"memoryMiB,omitempty"`
	DiskMiB   int    `json:"diskMiB,omitempty"`
	Zone      string `json:"zone,omitempty"`
	VirtType  string `json:"virtType,omitempty"`
}

// A StartRequest asks for one machine.
type StartRequest struct {
	Controller  string      `json:"controller"` // the controller's UUID, a tag of every instance
	Model       string      `json:"model"`      // the model's UUID, a tag of every instance
	Machine     string      `json:"machine"`    // with Model the idempotency key: the same machine never starts twice
	Base        string      `json:"base,omitempty"`
	Constraints Constraints `json:"constraints"`
	Placement   string      `json:"placement,omitempty"` // what followed --to, when the provider is to understand it: "zone=a"
	Group       string      `json:"group,omitempty"`     // machines of one model and group do the same: they should be in different zones
	Turn        int         `json:"turn,omitempty"`      // the number of the machine in its group
	Init        Init        `json:"init"`
	Enrolled    bool        `json:"enrolled,omitempty"` // it has been up before, and its agent needs no Init to come up again
}

// Missing is why a machine that is Enrolled, and of which there is no instance, is not started.
func (r StartRequest) Missing() error {
	return fmt.Errorf("its instance is gone, and with it what was on it: %w", ErrNotFound)
}

// An Init is what a new machine needs to find and prove itself to its controller.
// Script is the whole first-boot script made from the other fields.
type Init struct {
	Addresses []string  `json:"addresses"` // host:port of every controller's API
	CA        string    `json:"ca"`        // PEM
	Token     string    `json:"token"`     // one-time; a secret
	Expires   time.Time `json:"expires"`
	AgentHash string    `json:"agentHash"` // SHA-256 of the agent's archive, hex
	Script    []byte    `json:"script"`
}

// A Provider makes machines. Every method may be called again after a crash and must then
// find what the first call did. All methods may be called from several goroutines.
type Provider interface {
	// Start starts the machine, or returns the instance that an earlier call for the same
	// model and machine has started. It returns when the instance has an ID; it need not be running.
	// An instance of the machine that is Stopped, which is what has crashed or was switched off, it starts again: the same
	// one with all that is on it, never another. While it cannot be started yet, the error wraps ErrTransient. For a machine that
	// is Enrolled no other instance will do: when its own is gone, the error wraps ErrNotFound.
	Start(ctx context.Context, req StartRequest) (Instance, error)
	// Stop ends the instances and everything in them. An instance that is not there is no error.
	Stop(ctx context.Context, ids ...InstanceID) error
	// List returns the instances that were started for the controller, of all its models. It starts and stops none.
	// On an error the caller must conclude nothing of what is missing. With a PartialError come those that can be listed.
	List(ctx context.Context, controller string) ([]Instance, error)
}

// A Firewaller is a Provider that can open ports to the world. A provider without it leaves ports as they are.
type Firewaller interface {
	// SetPorts makes the open ports of the instance exactly want.
	SetPorts(ctx context.Context, id InstanceID, want []Rule) error
}

// A Rule lets sources reach a range of ports. No source means everyone.
type Rule struct {
	PortRange
	Sources []string `json:"sources,omitempty"` // CIDRs
}

// A Sheller is a Provider that can say how a user on a host that reaches the machine opens a shell there.
type Sheller interface {
	Shell(ctx context.Context, id InstanceID) (Shell, error)
}

// A Shell is a command for the user's own host. When SSH is true Command is not used
// and the machine is reached with ssh at its address.
type Shell struct {
	SSH     bool     `json:"ssh,omitempty"`
	Command []string `json:"command,omitempty"` // runs an interactive shell; with further arguments "-c", text runs text
	Dir     string   `json:"dir,omitempty"`
	Env     []string `json:"env,omitempty"`
}
