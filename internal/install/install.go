// Package install brings up a controller on a host: it looks whether the host will do, puts the programs there, installs Java and
// ZooKeeper where they are missing, makes the controller and starts it as a service. And it takes all that away again.
package install

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/provider"
)

// Where things are on the host.
const (
	Programs = "/usr/local/lib/grigri"
	Data     = "/var/lib/grigri/controller"
	ZKPort   = 2281
	APIPort  = 17070

	base       = "/var/lib/grigri" // its existence says that the machine is somebody's
	definition = base + "/definition.json"
	plugin     = base + "/plugin"
	result     = base + "/result.json"
	claim      = base + "/claim" // whose: the controller's UUID
)

// A Definition is what grigrid is told of the cloud that a new controller is in. It holds secrets.
type Definition struct {
	Cloud      provider.Cloud       `json:"cloud"`
	Region     string               `json:"region,omitempty"`
	Credential *provider.Credential `json:"credential,omitempty"` // nil: the cloud asks for nothing
	Instance   provider.Instance    `json:"instance"`             // the controller's own
	Manual     string               `json:"manual,omitempty"`     // how a user logs in there, if no provider has made it
	Base       string               `json:"base,omitempty"`
	Plugin     string               `json:"plugin,omitempty"` // the file of the cloud's provider, on the controller's machine; Run sets it
}

// Config says which controller to bring up, and where.
type Config struct {
	Host       provider.Host
	Name, UUID string
	Model      string // the UUID of the controllers' own model
	Definition Definition
	Files      map[string]string // the programs by name: grigrid, grigri-agent, hooktool
	Plugin     string            // the file of the program of the cloud's provider, if that is a plugin
	Arch       string            // that they are for, as Go names it
	Addresses  []string          // at which the host is known to be reached
	Port       int               // of the API; zero: APIPort
	Settings   map[string]string // of the controllers' own model
	Defaults   map[string]string // of all models in its cloud
	Flags      map[string]string // of grigrid bootstrap, those that are not empty
	Say        func(step string)
	Begun      func() // called when from here on there is something for Remove to take away
	Now        func() time.Time
}

// A StepError says which step failed, and what was said last.
type StepError struct {
	Step string
	Said string
	Err  error
}

func (e *StepError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("%s: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("%s: %v; it said last:\n%s", e.Step, e.Err, e.Said)
}

func (e *StepError) Unwrap() error { return e.Err }

//go:embed look.sh
var lookScript string

//go:embed claim.sh
var claimScript string

//go:embed service.sh
var serviceScript string

//go:embed remove.sh
var removeScript string

// aptPackages is Debian's packages that a controller needs. Java's cannot be installed where an image has no directory for manuals.
const aptPackages = "default-jre-headless libzookeeper-java"

const installPackages = `export DEBIAN_FRONTEND=noninteractive
[ -d /usr/share/man/man1 ] || { mkdir -p /usr/share/man/man1; trap 'rmdir /usr/share/man/man1 2>/dev/null' EXIT; }
apt-get -qq update && apt-get -qq -y --no-install-recommends install `

// Run brings the controller up and returns what its grigrid says of it, which holds the password of its first user.
// What is there when it fails, Remove takes away.
func Run(ctx context.Context, c Config) ([]byte, error) {
	if c.Port == 0 {
		c.Port = APIPort
	}
	c.Say("looking at the machine")
	f, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.refuse(c); err != nil {
		return nil, &StepError{Step: "look at the machine", Err: err}
	}
	c.Begun()
	if err := c.step(ctx, "claim the machine", "base="+base+" uuid="+quote(c.UUID)+"\n"+claimScript); err != nil {
		return nil, err
	}
	if !f.Java || !f.ZooKeeper {
		c.Say("installing Java and ZooKeeper with the machine's own apt")
		if err := c.step(ctx, "install Java and ZooKeeper", installPackages+aptPackages); err != nil {
			return nil, fmt.Errorf("%w\nThe machine needs a network over which its apt can install %s, or an image that has them", err, aptPackages)
		}
	}
	c.Say("putting the programs there")
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		if err := c.put(ctx, Programs+"/"+name, c.Files[name], 0o755); err != nil {
			return nil, err
		}
	}
	if c.Plugin != "" {
		c.Definition.Plugin = plugin
		if err := c.put(ctx, plugin, c.Plugin, 0o600); err != nil {
			return nil, err
		}
	}
	c.Say("making the controller")
	out, err := c.bootstrap(ctx, f)
	if err != nil {
		return nil, err
	}
	c.Say("starting the controller")
	if err := c.step(ctx, "start the controller", "data="+Data+" grigrid="+Programs+"/grigrid\n"+serviceScript); err != nil {
		return nil, err
	}
	return out, nil
}

// Agent starts the agent of the controller's own machine: the controller, when it first runs, leaves the script for that.
func Agent(ctx context.Context, c Config) error {
	c.Say("starting the agent of the controller's machine")
	return c.step(ctx, "start the agent of the controller's machine", "sh "+Data+"/init.sh && rm "+Data+"/init.sh")
}

// Log is the last lines that the controller on the host has said.
func Log(ctx context.Context, h provider.Host) string {
	var out bytes.Buffer
	_ = h.Run(ctx, "{ journalctl -q -u grigrid -n 20 --no-pager -o cat 2>/dev/null; tail -n 20 "+Data+"/grigrid.log 2>/dev/null; true; }", &out) // what cannot be read is not there
	return last(out.String())
}

// Remove ends the controller on the host and takes away all that Run has put there, but for what apt has installed. A host that another
// controller has claimed is left alone.
func Remove(ctx context.Context, h provider.Host, uuid string) error {
	var whose bytes.Buffer
	if err := h.Run(ctx, "cat "+claim+" 2>/dev/null || [ ! -e "+base+" ] || echo "+uuid, &whose); err != nil {
		return &StepError{Step: "look whose controller is on the host", Err: err, Said: last(whose.String())}
	}
	if strings.TrimSpace(whose.String()) != uuid {
		return nil
	}
	const machine = "0" // the controller's own
	for _, s := range []struct{ step, script string }{
		{"remove the agent from the controller's host", string(initscript.Removal(machine))},
		{"remove the controller from its host", "data=" + Data + " programs=" + Programs + "\n" + removeScript},
	} {
		if err := step(ctx, h, s.step, s.script); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) put(ctx context.Context, to, from string, mode uint32) error {
	file, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("put %s on the machine: %w", filepath.Base(from), err)
	}
	defer file.Close()
	if err := c.Host.Put(ctx, to, mode, file); err != nil {
		return &StepError{Step: "put " + filepath.Base(from) + " on the machine", Err: err}
	}
	return nil
}

// bootstrap has grigrid make the controller's files.
func (c Config) bootstrap(ctx context.Context, f facts) ([]byte, error) {
	data, err := json.Marshal(c.Definition)
	if err != nil {
		return nil, err
	}
	if err := c.Host.Put(ctx, definition, 0o600, bytes.NewReader(data)); err != nil {
		return nil, &StepError{Step: "describe the cloud to the controller", Err: err}
	}
	own := f.own(c.Addresses)
	if own == "" {
		return nil, &StepError{Step: "make the controller", Err: fmt.Errorf("the machine has no address that others could reach")}
	}
	var advertise []string
	for _, a := range append([]string{own}, c.Addresses...) {
		if a = net.JoinHostPort(a, strconv.Itoa(c.Port)); !slices.Contains(advertise, a) {
			advertise = append(advertise, a)
		}
	}
	args := []string{Programs + "/grigrid", "bootstrap", "--data-dir", Data, "--name", c.Name, "--uuid", c.UUID, "--model-uuid", c.Model, "--cloud", c.Definition.Cloud.Name,
		"--region", c.Definition.Region, "--definition", definition, "--result", result, "--listen", net.JoinHostPort("0.0.0.0", strconv.Itoa(c.Port)),
		"--advertise", strings.Join(advertise, ","), "--zookeeper-listen", net.JoinHostPort(own, strconv.Itoa(ZKPort))}
	for _, k := range slices.Sorted(maps.Keys(c.Flags)) {
		if c.Flags[k] != "" {
			args = append(args, "--"+k, c.Flags[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Settings)) {
		args = append(args, "--config", k+"="+c.Settings[k])
	}
	for _, k := range slices.Sorted(maps.Keys(c.Defaults)) {
		args = append(args, "--model-default", k+"="+c.Defaults[k])
	}
	for i, a := range args {
		args[i] = quote(a)
	}
	if err := c.step(ctx, "make the controller", "mkdir -p -m 700 "+Data+" && trap 'rm -f "+definition+" "+plugin+"' EXIT && "+strings.Join(args, " ")); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := c.Host.Run(ctx, "cat "+result+" && rm "+result, &out); err != nil {
		return nil, &StepError{Step: "read what was made", Err: err}
	}
	return out.Bytes(), nil
}

func (c Config) step(ctx context.Context, name, script string) error {
	return step(ctx, c.Host, name, script)
}

// step runs a script whose failure is the failure of the whole.
func step(ctx context.Context, h provider.Host, name, script string) error {
	var out bytes.Buffer
	if err := h.Run(ctx, script, &out); err != nil {
		return &StepError{Step: name, Err: err, Said: last(out.String())}
	}
	return nil
}

// last is the last lines of what was said.
func last(text string) string {
	const most = 20
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// quote is s as one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// look finds out what the host is.
func (c Config) look(ctx context.Context) (facts, error) {
	var out bytes.Buffer
	if err := c.Host.Run(ctx, "data="+Data+"\n"+lookScript, io.Writer(&out)); err != nil {
		return facts{}, &StepError{Step: "look at the machine", Err: err, Said: last(out.String())}
	}
	return parse(out.String()), nil
}
