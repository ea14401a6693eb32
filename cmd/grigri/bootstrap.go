package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/provider"
)

// A bootstrapped controller, as grigrid says it.
type bootstrapped struct {
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Cloud     string   `json:"cloud"`
	Region    string   `json:"region"`
	CA        string   `json:"ca"`
	Addresses []string `json:"addresses"`
	User      string   `json:"user"`
	Password  string   `json:"password"`
	Model     string   `json:"controllerModel"`
	Version   string   `json:"version"`
}

// apiPort is the one setting that bootstrap takes which is the controller's, and not its model's.
const apiPort = "api-port"

var controllerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]*$`)

func (c *cli) bootstrapCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bootstrap [cloud[/region] [name]]", Short: "Make a controller.", Args: argCount(0, 2, ""),
		Long: "Make a controller. The cloud \"local\" is this host: the controller, its ZooKeeper and all machines are processes\nin directories below the client's own files, each machine with a loopback address of its own.\n\nIn every other cloud the controller and its ZooKeeper are on a machine of their own, machine 0 of the model \"controller\". With manual/user@host it is\na host that you have, reached over ssh. A bootstrap that fails or is interrupted leaves no instance behind, unless --keep-broken says so."}
	f := cmd.Flags()
	config := f.StringArray("config", nil, "a setting of the controller or of its model: key=value, or a YAML file of such")
	noSwitch := f.Bool("no-switch", false, "do not make it the controller in focus")
	zookeeper := f.String("zookeeper", "", "use this ZooKeeper ensemble, host:port,..., instead of one of its own")
	zkCA := f.String("zookeeper-ca", "", "the file of the certificate authority of the ensemble")
	zkCert := f.String("zookeeper-cert", "", "the file of the controller's certificate for the ensemble")
	zkKey := f.String("zookeeper-key", "", "the file of its key")
	zkName := f.String("zookeeper-server-name", "", "the host in the ensemble's certificates, if not that of --zookeeper")
	installation := f.String("zookeeper-installation", "", "a directory with ZooKeeper's jars, instead of Debian's")
	java := f.String("java", "", "the program java, instead of the one on PATH")
	f.Bool("force", false, "accepted for compatibility")
	f.Bool("clouds", false, "list the clouds")
	regions := f.String("regions", "", "list the regions of a cloud")
	constraints := f.StringArray("constraints", nil, "what the controller's machine must have, and what all machines of its own model must")
	own := f.StringArray("bootstrap-constraints", nil, "what the controller's machine must have")
	base := f.String("bootstrap-base", "", "the operating system of the controller's machine: ubuntu@22.04")
	credential := f.String("credential", "", "the credential of this client to use")
	to := f.String("to", "", "where in the cloud the machine is to be: zone=a")
	keepBroken := f.Bool("keep-broken", false, "leave the machine of a bootstrap that failed, to look at it")
	keys := c.loginFlags(cmd)
	defaults := f.StringArray("model-default", nil, "a setting of all models in the controller's cloud that is not set for them: key=value, or a YAML file of such")
	f.StringArray("storage-pool", nil, "accepted for compatibility: a controller on this host needs none")
	_ = f.MarkHidden("storage-pool")
	for _, name := range []string{"metadata-source", "agent-version"} {
		f.String(name, "", "accepted for compatibility: a controller on this host needs none")
		_ = f.MarkHidden(name)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if list, _ := f.GetBool("clouds"); list || *regions != "" {
			return c.bootstrapPlaces(*regions)
		}
		cloud, where, name := "local", "", ""
		if len(args) > 0 {
			cloud, where, _ = strings.Cut(args[0], "/")
		}
		if len(args) > 1 {
			name = args[1]
		}
		if name == "" {
			name = cloud
			if where != "" && cloud != manualCloud {
				name += "-" + where
			}
		}
		if !controllerName.MatchString(name) {
			return usagef("%q is not a valid controller name: use letters, digits, dots and hyphens", name)
		}
		b := bootstrap{c: c, name: name, cloud: cloud, noSwitch: *noSwitch, daemonFlags: map[string]string{
			"zookeeper": *zookeeper, "zookeeper-ca": *zkCA, "zookeeper-cert": *zkCert, "zookeeper-key": *zkKey,
			"zookeeper-server-name": *zkName, "zookeeper-installation": *installation, "java": *java}}
		settings, err := settingsOf(*config, "")
		if err != nil {
			return err
		}
		b.config = settings
		if b.defaults, err = settingsOf(*defaults, ""); err != nil {
			return err
		}
		if port, ok := settings[apiPort]; ok {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return usagef("%s: %q is no port", apiPort, port)
			}
		}
		b.keepBroken = *keepBroken
		if cloud == "local" {
			return b.run(cmd.Context())
		}
		b.remote = &remote{c: c, base: *base, placement: *to, login: keys}
		model, err := constraintsOf(*constraints)
		if err != nil {
			return err
		}
		wanted, err := constraintsOf(*own)
		if err != nil {
			return err
		}
		b.remote.constraints = provider.Merge(model, wanted)
		if err := b.find(cloud, where, *credential); err != nil {
			return err
		}
		return b.runRemote(cmd.Context())
	}
	return cmd
}

var errInterrupted = errors.New("interrupted: all that was made has been removed")

// A bootstrap is one controller being made on this host.
type bootstrap struct {
	c        *cli
	name     string
	cloud    string
	config   map[string]string // of the controller and of its own model
	defaults map[string]string // of all models in its cloud
	noSwitch bool

	keepBroken bool
	remote     *remote // nil: on this host

	daemonFlags map[string]string // passed on to the daemon; those that are not empty

	store clientStore
	dir   string // the controller's
	made  bootstrapped
}

func (b *bootstrap) run(ctx context.Context) (err error) {
	if b.store, err = b.c.openStore(); err != nil {
		return err
	}
	if b.dir, err = filepath.Abs(filepath.Join(b.store.dir, "controllers", b.name)); err != nil {
		return err
	}
	daemon, err := b.c.daemon()
	if err != nil {
		return err
	}
	err = b.store.update(func(k *book) error { // from here on the name is ours
		if k.controllers.Controllers[b.name] != nil {
			return fmt.Errorf("controller %q already exists", b.name)
		}
		if k.bootstrap.Controllers[b.name].DataDir != "" {
			return fmt.Errorf("controller %q is being made, or was when that was interrupted: if no other bootstrap runs, \"%s kill-controller %s\" removes what is left", b.name, b.c.name, b.name)
		}
		k.bootstrap.Controllers[b.name] = bootstrapEntry{Cloud: b.cloud, Type: b.cloud, DataDir: b.dir}
		return nil
	})
	if err != nil {
		return err
	}
	p := b.c.progress()
	defer p.end()
	if err := b.make(ctx, daemon, p); err != nil {
		p.end()
		b.c.infof("removing what has been made of controller %q", b.name)
		clean := b.c.killLocal(context.WithoutCancel(ctx), b.dir)
		if clean == nil {
			clean = b.store.update(func(k *book) error { k.forget(b.name); return nil })
		}
		return errors.Join(fmt.Errorf("bootstrap controller %q: %w", b.name, err), clean)
	}
	p.end()
	b.c.infof("Bootstrap complete, controller %q is now available\nController machines are in the \"controller\" model\nNow you can run\n\t%s add-model <model-name>\nto make a model for your applications.", b.name, b.c.name)
	return nil
}

// make makes the controller's files, starts its daemon, and waits until it answers.
func (b *bootstrap) make(ctx context.Context, daemon string, p *progress) error {
	b.c.infof("Creating controller %q on %s", b.name, b.cloud)
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("make its directory: %w", err)
	}
	p.say("making its keys and its tree")
	result := filepath.Join(b.dir, "bootstrap.json")
	port := "0"
	if p, ok := b.config[apiPort]; ok {
		port = p
	}
	args := []string{"bootstrap", "--data-dir", b.dir, "--name", b.name, "--cloud", b.cloud, "--listen", "127.0.0.1:" + port, "--result", result}
	for flag, v := range b.daemonFlags {
		if v != "" {
			args = append(args, "--"+flag, v)
		}
	}
	for k, v := range b.config {
		if k == apiPort {
			continue
		}
		args = append(args, "--config", k+"="+v)
	}
	for k, v := range b.defaults {
		args = append(args, "--model-default", k+"="+v)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, daemon, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return errors.New(b.daemonError(said.String()))
	}
	data, err := os.ReadFile(result)
	if err != nil {
		return fmt.Errorf("read what was made: %w", err)
	}
	_ = os.Remove(result) // it holds the password, which the accounts file keeps from now on
	if err := json.Unmarshal(data, &b.made); err != nil {
		return fmt.Errorf("read what was made: %w", err)
	}
	p.say("starting it")
	if err := b.start(daemon); err != nil {
		return err
	}
	p.say("waiting for it to answer")
	if err := b.answers(ctx); err != nil {
		return err
	}
	return b.remember()
}

// daemonError is what the daemon said when it could not do its part, without what we say ourselves.
func (b *bootstrap) daemonError(said string) string {
	text := strings.TrimPrefix(lastLines(said, 20), "ERROR ")
	return strings.TrimPrefix(text, fmt.Sprintf("bootstrap controller %q: ", b.name))
}

// start starts the daemon so that it outlives us.
func (b *bootstrap) start(daemon string) error {
	log, err := os.OpenFile(filepath.Join(b.dir, "grigrid.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open its log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(daemon, "run", "--data-dir", b.dir)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, b.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	return cmd.Process.Release()
}

// answers waits until the controller's API answers, or its daemon has ended.
func (b *bootstrap) answers(ctx context.Context) error {
	cl, err := client.New(client.Config{Name: b.name, Addresses: b.made.Addresses, CA: b.made.CA, User: b.made.User, Password: b.made.Password, Patience: time.Millisecond})
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		_, err := cl.Controller(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if b.remote != nil {
				if errors.Is(ctx.Err(), context.Canceled) {
					return errInterrupted
				}
				return fmt.Errorf("the controller runs on its machine and does not answer at %s: does something between here and there block it? %w", joined(b.made.Addresses), err)
			}
			said, _ := os.ReadFile(filepath.Join(b.dir, "grigrid.log"))
			if errors.Is(ctx.Err(), context.Canceled) {
				return errInterrupted
			}
			return fmt.Errorf("%w; the last lines of its log:\n%s", err, lastLines(string(said), 20))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *bootstrap) remember() error {
	kind := b.cloud
	if b.remote != nil {
		kind = b.remote.cloud.Type
	}
	return b.store.update(func(k *book) error {
		k.controllers.Controllers[b.name] = &controllerEntry{UUID: b.made.UUID, Endpoints: b.made.Addresses, CA: b.made.CA, Cloud: b.cloud,
			Region: b.made.Region, Type: kind, AgentVersion: b.made.Version, Machines: 1}
		k.accounts.Controllers[b.name] = account{User: b.made.User, Password: b.made.Password, Access: "superuser"}
		if b.made.Model != "" {
			k.modelsOf(b.name).Models[b.made.User+"/controller"] = modelEntry{UUID: b.made.Model, Type: "iaas"}
		}
		if !b.noSwitch && k.controllers.Current != b.name {
			k.controllers.Previous, k.controllers.Current = k.controllers.Current, b.name
		}
		return nil
	})
}

// daemon finds grigrid: beside this program, or on PATH.
func (c *cli) daemon() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "grigrid")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("grigrid")
	if err != nil {
		return "", errors.New("cannot find the program grigrid beside this one or on PATH: install it there")
	}
	return path, nil
}

// lastLines is the last n lines of text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
