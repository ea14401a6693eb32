package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/internal/install"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider/all"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver"
)

// A bootstrap is one call of the command.
type bootstrap struct {
	dir, result string
	config      config
	settings    map[string]string
	defaults    map[string]string
	zkCA        string
	zkCert      string
	zkKey       string
	definition  string
	model       string
}

func bootstrapCommand() *cobra.Command {
	var b bootstrap
	var servers string
	var settings, defaults []string
	cmd := &cobra.Command{Use: "bootstrap", Short: "Make a controller in a directory.", Args: cobra.NoArgs,
		Long: "Make a controller in a directory: its keys, its first user, its configuration. \"grigrid run\" then starts it.\nWhat cannot work is found now. A bootstrap that does not succeed leaves nothing behind.\n\nAn ensemble given with --zookeeper serves TLS with client certificates, has X509AuthenticationProvider.superUser set to the\nname in --zookeeper-cert, CN=controller,O=grigri, and must trust ca.pem in the data directory, which issues the machines' certificates."}
	f := cmd.Flags()
	f.StringVar(&b.dir, "data-dir", "", "the controller's own directory")
	f.StringVar(&b.config.Name, "name", "", "the controller's name")
	f.StringVar(&b.config.Cloud, "cloud", "local", "where its machines are: "+strings.Join(all.Types(), ", "))
	f.StringVar(&b.config.UUID, "uuid", "", "the controller's UUID, if it has one already: of the instance that it is on")
	f.StringVar(&b.model, "model-uuid", "", "the UUID of the controllers' own model, if it has one already")
	f.StringVar(&b.definition, "definition", "", "a file that defines the cloud, with the credential for it and the instance that this host is")
	f.StringVar(&b.config.ZooKeeper.Listen, "zookeeper-listen", "", "host:port of its own ZooKeeper, if agents are on other hosts")
	f.StringVar(&b.config.Region, "region", "", "the region of the cloud")
	f.StringVar(&b.config.Listen, "listen", "127.0.0.1:17070", "host:port of the API; port 0 picks one")
	f.StringSliceVar(&b.config.Advertise, "advertise", nil, "host:port,... at which clients and agents reach the API, if not where it listens")
	f.StringVar(&servers, "zookeeper", "", "host:port,... of a ZooKeeper ensemble, to use instead of one of its own")
	f.StringVar(&b.zkCA, "zookeeper-ca", "", "the file of the authority that issued the ensemble's certificates (PEM)")
	f.StringVar(&b.zkCert, "zookeeper-cert", "", "the file of a controller's certificate for the ensemble (PEM)")
	f.StringVar(&b.zkKey, "zookeeper-key", "", "the file of its key (PEM, PKCS 8)")
	f.StringVar(&b.config.ZooKeeper.ServerName, "zookeeper-server-name", "", "the host in the ensemble's certificates, if not that of --zookeeper")
	f.StringVar(&b.config.ZooKeeper.Installation, "zookeeper-installation", "", "a directory with ZooKeeper's jars; Debian's if empty")
	f.StringVar(&b.config.ZooKeeper.Java, "java", "", "the program java; from PATH if empty")
	f.StringArrayVar(&settings, "config", nil, "a setting of the controllers' own model: key=value")
	f.StringArrayVar(&defaults, "model-default", nil, "a setting of all models in the controllers' own cloud that is not set for them: key=value")
	f.StringVar(&b.result, "result", "", "the file for what a user needs to log in, with his password")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if b.settings, err = pairs("--config", settings); err != nil {
			return err
		}
		if b.defaults, err = pairs("--model-default", defaults); err != nil {
			return err
		}
		if servers != "" {
			b.config.ZooKeeper.Servers = strings.Split(servers, ",")
		}
		if err := b.check(); err != nil {
			return err
		}
		if err := b.run(cmd.Context()); err != nil {
			return fmt.Errorf("bootstrap controller %q: %w", b.config.Name, err)
		}
		return nil
	}
	return cmd
}

// pairs is the words, each key=value.
func pairs(flag string, words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%s %q: expected key=value; %w", flag, w, errUsage)
		}
		out[k] = v
	}
	return out, nil
}

// given is the text, if there is any.
func given(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func (b *bootstrap) check() error {
	for flag, value := range map[string]string{"--data-dir": b.dir, "--name": b.config.Name, "--result": b.result} {
		if value == "" {
			return fmt.Errorf("%s is missing; %w", flag, errUsage)
		}
	}
	if b.definition == "" && !slices.Contains(all.Types(), b.config.Cloud) {
		return fmt.Errorf("unknown cloud %q: the clouds are: %s; %w", b.config.Cloud, strings.Join(all.Types(), ", "), errUsage)
	}
	for _, a := range append([]string{b.config.Listen}, slices.Concat(b.config.Advertise, b.config.ZooKeeper.Servers, given(b.config.ZooKeeper.Listen))...) {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("%q is not host:port; %w", a, errUsage)
		}
	}
	if (b.zkCert == "") != (b.zkKey == "") {
		return fmt.Errorf("--zookeeper-cert and --zookeeper-key belong together; %w", errUsage)
	}
	if b.config.ZooKeeper.own() && (b.zkCA != "" || b.zkCert != "" || b.config.ZooKeeper.ServerName != "") {
		return fmt.Errorf("--zookeeper-ca, --zookeeper-cert and --zookeeper-server-name are for an ensemble given with --zookeeper; %w", errUsage)
	}
	return nil
}

// run makes the controller. The configuration is written last: while there is none, there is no controller.
func (b *bootstrap) run(ctx context.Context) (err error) {
	var made []string // what to remove if it does not succeed
	defer func() {
		if err != nil {
			for _, path := range slices.Backward(made) {
				err = errors.Join(err, os.RemoveAll(path))
			}
		}
	}()
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	if _, err := os.Stat(b.dir); errors.Is(err, fs.ErrNotExist) {
		made = append(made, b.dir)
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	held, err := lock(b.dir)
	if err != nil {
		return err
	}
	defer held.Close()
	if _, err := os.Stat(filepath.Join(b.dir, configFile)); err == nil {
		return fmt.Errorf("there is a controller in %s already", b.dir)
	}
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, name := range []string{"authority.pem", "ca.pem", "key", "founding.json", "plugins", zkDir, lockFile} {
		if name == lockFile || !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name }) {
			made = append(made, filepath.Join(b.dir, name))
		}
	}
	if err := checkRoom(b.dir); err != nil {
		return err
	}
	if err := b.complete(); err != nil {
		return err
	}
	conf := controller.BootstrapConfig{Dir: b.dir, Name: b.config.Name, Cloud: b.config.Cloud, Region: b.config.Region,
		Addresses: b.config.Advertise, Config: b.settings, Defaults: b.defaults, Now: time.Now().UTC(), UUID: b.config.UUID, Model: state.ModelID(b.model)}
	if err := b.define(&conf); err != nil {
		return err
	}
	out, secrets, err := controller.Bootstrap(conf)
	if err != nil {
		return err
	}
	if err := b.preflight(ctx, secrets); err != nil {
		return err
	}
	b.config.UUID, b.config.ID = out.UUID, "0"
	data, err := json.Marshal(out)
	if err != nil {
		return err
	}
	made = append(made, b.result)
	if err := pki.WriteFile(b.result, append(data, '\n')); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return b.config.save(b.dir)
}

// define takes over what the file says of the cloud and of this host.
func (b *bootstrap) define(c *controller.BootstrapConfig) error {
	if b.definition == "" {
		return nil
	}
	data, err := os.ReadFile(b.definition)
	if err != nil {
		return err
	}
	var d install.Definition
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("read %s: it defines no cloud", b.definition) // what it says is secret
	}
	if d.Cloud.Name != b.config.Cloud {
		return fmt.Errorf("%s defines cloud %q, not %q", b.definition, d.Cloud.Name, b.config.Cloud)
	}
	if d.Plugin != "" {
		if err := keepPlugin(b.dir, d); err != nil {
			return err
		}
	}
	c.Definition, c.Credential = d.Cloud, d.Credential
	c.Host = &state.FirstHost{Instance: d.Instance, Manual: d.Manual, Base: d.Base}
	b.config.Type = d.Cloud.Type
	return nil
}

// keepPlugin takes over the program of the cloud's provider.
func keepPlugin(dir string, d install.Definition) error {
	f, err := os.Open(d.Plugin)
	if err != nil {
		return fmt.Errorf("take over the plugin of cloud %q: %w", d.Cloud.Name, err)
	}
	defer f.Close()
	if err := controller.Plugins(dir).PutProgram(d.Cloud.PluginHash, f, userapi.MaxPlugin); err != nil {
		return fmt.Errorf("take over the plugin of cloud %q: %w", d.Cloud.Name, err)
	}
	return nil
}

// complete fills in what flags left open.
func (b *bootstrap) complete() error {
	var err error
	if b.config.Listen, err = pickPort(b.config.Listen); err != nil {
		return err
	}
	if len(b.config.Advertise) == 0 {
		host, _, _ := net.SplitHostPort(b.config.Listen)
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			return fmt.Errorf("--listen %s is every address of this host: say with --advertise which one clients are to use", b.config.Listen)
		}
		b.config.Advertise = []string{b.config.Listen}
	}
	for file, to := range map[string]*string{b.zkCA: &b.config.ZooKeeper.CA, b.zkCert: &b.config.ZooKeeper.Certificate, b.zkKey: &b.config.ZooKeeper.Key} {
		if file == "" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		*to = string(data)
	}
	return nil
}

// preflight finds what would not work later.
func (b *bootstrap) preflight(ctx context.Context, s controller.Secrets) error {
	beside, err := beside()
	if err != nil {
		return err
	}
	for _, name := range []string{"grigri-agent", "hooktool"} {
		if _, err := os.Stat(filepath.Join(beside, name)); err != nil {
			return fmt.Errorf("the program %s must be beside grigrid: %w", name, err)
		}
	}
	if l, err := net.Listen("tcp", b.config.Listen); err != nil {
		return fmt.Errorf("listen for the API: %w: choose another address with --listen", err)
	} else if err := l.Close(); err != nil {
		return err
	}
	if b.config.ZooKeeper.own() {
		conf, err := b.config.zkServer(b.dir, s, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		_, err = zkserver.Prepare(conf)
		return err
	}
	return b.ensemble(ctx, s)
}

// ensemble sees whether the ensemble can be used, and has no tree yet.
func (b *bootstrap) ensemble(ctx context.Context, s controller.Secrets) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conf, err := b.config.zkClient(s, b.config.ZooKeeper.Servers, nil)
	if err != nil {
		return err
	}
	where := strings.Join(b.config.ZooKeeper.Servers, ",")
	if err := reach(ctx, b.config.ZooKeeper.Servers, conf.TLS); err != nil {
		return err
	}
	store, err := zk.Open(ctx, conf)
	if err != nil {
		return fmt.Errorf("reach ZooKeeper at %s: %w", where, err)
	}
	defer store.Close()
	rec, err := state.ReadIf[state.Controller](ctx, store, state.ControllersPath)
	if err != nil {
		return fmt.Errorf("look into ZooKeeper at %s: %w", where, err)
	}
	if rec.Exists() {
		return fmt.Errorf("ZooKeeper at %s holds the tree of controller %q already", where, rec.Value.Name)
	}
	return nil
}

// reach returns when one of the servers has answered, or says what is wrong with the last.
func reach(ctx context.Context, servers []string, conf *tls.Config) (err error) {
	for _, s := range servers {
		each, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = zkserver.Ready(each, s, conf)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

// beside is the directory that this program is in.
func beside() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return filepath.Dir(self), nil
}
