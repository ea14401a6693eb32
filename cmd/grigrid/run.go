package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/programs"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver"
)

// A ready line says that the API answers.
type ready struct {
	Ready   bool   `json:"ready"`
	Name    string `json:"name"`
	Address string `json:"address"`
	PID     int    `json:"pid"`
}

func runCommand(log func() *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{Use: "run", Short: "Run the controller of a directory.", Args: cobra.NoArgs,
		Long: "Run the controller of a directory until it is asked to end. When its API answers, it prints one line of JSON and writes it\ninto ready.json in the directory."}
	dir := cmd.Flags().String("data-dir", "", "the controller's own directory")
	var l limits
	l.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *dir == "" {
			return fmt.Errorf("--data-dir is missing; %w", errUsage)
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		d := daemon{dir: abs, log: log(), upgrades: newUpgrades(abs), limits: l}
		if err := d.follow(); err != nil {
			return err
		}
		d.ready = func(address string) {
			line, _ := json.Marshal(ready{true, d.config.Name, address, os.Getpid()})
			fmt.Fprintln(cmd.OutOrStdout(), string(line))
			if err := pki.WriteFile(filepath.Join(d.dir, readyFile), append(line, '\n')); err != nil {
				d.log.Warn("say that we are ready", "err", err)
			}
			if err := d.upgrades.dir.Settled(); err != nil {
				d.log.Warn("remove the programs that ran before", "err", err)
			}
		}
		return d.live(cmd.Context())
	}
	return cmd
}

// live is run, and what others do when these programs, that were put in place, do not come up or are to be replaced.
func (d *daemon) live(ctx context.Context) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(d.limits.come, func() {
		if err := d.upgrades.dir.GiveUp(fmt.Sprintf("it has not come up in %s", d.limits.come)); !errors.Is(err, programs.ErrReplaced) {
			return // it has
		}
		cancel(programs.ErrReplaced)
		time.AfterFunc(d.limits.leave, func() { d.log.Error("go on as the programs before", "err", d.follow()) })
	})
	defer late.Stop()
	err := d.run(within)
	if ctx.Err() != nil {
		return err
	}
	if errors.Is(err, programs.ErrReplaced) || errors.Is(context.Cause(within), programs.ErrReplaced) {
		return errors.Join(d.follow(), errors.New("the programs in place cannot be started"))
	}
	if err != nil && d.upgrades.dir.Trying() {
		d.log.Error("it does not come up: another try follows", "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return err
		}
		return errors.Join(err, d.follow())
	}
	return err
}

// A daemon is one life of a controller in its directory.
type daemon struct {
	dir     string
	config  config
	secrets controller.Secrets
	log     *slog.Logger
	ready   func(address string)

	upgrades *upgrades // nil: it is only tried
	limits   limits    // of upgrades
	agent    string    // the hash of the agent's archive that goes with it
}

// run runs the controller, and around it ZooKeeper if that is ours: it is there before the controller and after.
func (d *daemon) run(ctx context.Context) error {
	var err error
	if d.config, err = loadConfig(d.dir); err != nil {
		return err
	}
	held, err := lock(d.dir)
	if err != nil {
		return err
	}
	defer held.Close()
	defer os.Remove(filepath.Join(d.dir, readyFile))
	if d.secrets, err = controller.LoadSecrets(d.dir); err != nil {
		return err
	}
	if !d.config.ZooKeeper.own() {
		return d.rule(ctx, d.config.ZooKeeper.Servers)
	}
	conf, err := d.config.zkServer(d.dir, d.secrets, d.log)
	if err != nil {
		return err
	}
	address, err := zkserver.Prepare(conf)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outlives, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var zookeeper errgroup.Group
	zookeeper.Go(func() error {
		defer cancel() // without ZooKeeper there is nothing to control
		return zkserver.Run(outlives, conf)
	})
	err = d.rule(ctx, []string{address})
	stop()
	if zerr := zookeeper.Wait(); zerr != nil {
		return zerr // whatever else happened is its consequence
	}
	return err
}

// rule runs the controller, until it is to end or other programs are in place.
func (d *daemon) rule(ctx context.Context, servers []string) error {
	for {
		err := d.control(ctx, servers)
		next := d.upgrades.wanted()
		if err != nil || next == "" || ctx.Err() != nil {
			return err
		}
		_ = os.Remove(filepath.Join(d.dir, readyFile)) // whoever reads it tries to connect first
		if err := d.replace(ctx, next, servers); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// control runs the controller itself.
func (d *daemon) control(ctx context.Context, servers []string) error {
	beside, err := beside()
	if err != nil {
		return err
	}
	hash, err := controller.KeepAgent(d.dir, beside)
	if err != nil {
		return err
	}
	d.agent = hash
	debug.FreeOSMemory() // packing takes many times what the controller needs from here on
	conf := all.Config{Dir: d.dir, Kept: string(controller.Plugins(d.dir)), Agent: filepath.Join(beside, "grigri-agent"), Archive: filepath.Join(string(controller.Agents(d.dir)), hash), Log: d.log}
	store, err := d.open(ctx, servers)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	addresses := state.Addresses{API: d.config.Advertise, ZooKeeper: servers, AgentHash: hash,
		ZooKeeperCA: d.config.ZooKeeper.CA, ZooKeeperName: d.config.ZooKeeper.ServerName}
	run := controller.Config{Dir: d.dir, ID: d.config.ID, Listen: d.config.Listen, Store: store, Secrets: d.secrets,
		Open:      func(spec provider.Spec) (provider.Provider, error) { return all.Open(spec, conf) },
		Addresses: addresses, Chroot: zk.DefaultChroot, Build: build(), Log: d.log, Ready: d.ready}
	if d.upgrades != nil {
		run.Programs = d.upgrades
	}
	err = controller.Run(ctx, run)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, store.Close())
}

// startPatience is how long ZooKeeper may take to start.
const startPatience = 2 * time.Minute

// open connects to ZooKeeper, once it serves.
func (d *daemon) open(ctx context.Context, servers []string) (*zk.Store, error) {
	conf, err := d.config.zkClient(d.secrets, servers, d.log)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if d.config.ZooKeeper.own() {
		if err := zkserver.Ready(waiting, servers[0], conf.TLS); err != nil {
			return nil, err
		}
	}
	store, err := zk.Open(waiting, conf)
	if err != nil {
		return nil, err
	}
	if err := store.Init(waiting); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// build tells this build of the program from others: the SHA-256 of its file, hex. It is empty when that cannot be read.
func build() string {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
