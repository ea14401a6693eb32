package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/agent/machine"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/programs"
	"github.com/grigri/grigri/internal/reaper"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
)

// runMachine runs the machine's agent until the machine is removed, which is no error, or ctx ends.
func runMachine(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	data := fs.String("data-dir", "", "the directory of all that the agent keeps")
	if err := parse(fs, args, stderr); err != nil {
		return err
	}
	conf, err := enroll.Load(*data)
	if err != nil {
		return err
	}
	mine := programs.Agent(*data, conf.Machine.Tag(), enroll.Dir(*data, conf.Machine))
	if err := mine.Starting(); err != nil { // before all that may go wrong
		return err
	}
	began := time.Now()
	lock, err := lock(ctx, filepath.Join(enroll.Dir(*data, conf.Machine), "agent.lock"))
	if err != nil {
		return fmt.Errorf("run machine %s: wait for the agent that runs already: %w", conf.Machine, err)
	}
	defer lock.Close()
	logs, err := machine.OpenLogs(cmp.Or(os.Getenv("GRIGRI_LOG_DIR"), "/var/log/juju"), conf.Machine.Tag(), time.Now)
	if err != nil {
		return err
	}
	defer logs.Close()
	log := logs.Logger(conf.Machine.Tag(), "grigri.machine")
	log.Info("the machine's agent starts", "version", version.Grigri)

	own, host := conf.Identity(), pki.ZooKeeperHost
	if a := conf.Addresses; a.ZooKeeperCA != "" { // an ensemble that others run
		own.Authority, host = []byte(a.ZooKeeperCA), a.ZooKeeperName
	}
	identity, err := own.ClientTLS(host)
	if err != nil {
		return err
	}
	store, err := zk.Open(ctx, zk.Config{Servers: conf.Addresses.ZooKeeper, TLS: identity, Chroot: conf.Chroot,
		Controller: pki.ControllerName(), Machine: pki.MachineName, Log: log})
	if err != nil {
		return fmt.Errorf("run machine %s: %w", conf.Machine, err)
	}
	err = machine.Run(ctx, machine.Config{
		Conf: conf, DataDir: *data, HookTool: filepath.Join(*data, "tools", conf.Machine.Tag(), "hooktool"),
		Programs: mine, Store: store, Address: os.Getenv("GRIGRI_ADDRESS"), Boot: bootID(),
		Run:  state.Presence{Boot: newID(), Version: version.Grigri, Since: began},
		Logs: logs, Now: time.Now, ID: newID, Reboot: rebooter(), Bin: publishIn(*data),
	})
	log.Info("the machine's agent ends", "err", err)
	if ctx.Err() != nil || errors.Is(err, machine.ErrRenewed) {
		// It is mostly started again at once. Its session ends by itself, and until then its units keep their places: who leads leads on.
		return err
	}
	return errors.Join(err, store.Close())
}

// publishIn is where all find the machine's programs: nowhere, if the machine shares its host with others.
func publishIn(data string) string {
	if os.Getenv("GRIGRI_ADDRESS") != "" || data != "/var/lib/juju" {
		return ""
	}
	return "/usr/bin"
}

// lock waits until no other agent runs for the machine.
func lock(ctx context.Context, name string) (*os.File, error) {
	for {
		f, err := reaper.Lock(name)
		if err != reaper.ErrHeld {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// newID is a name that was never given before.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// bootVariable is the boot id of a machine that is a reaper and all it has started: when the reaper starts, the machine does.
const bootVariable = "GRIGRI_BOOT"

// bootID changes when the machine is started again.
func bootID() string {
	if id := os.Getenv(bootVariable); id != "" {
		return id
	}
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// system is the name of the operating system, as charms expect it in a version.
func system() string {
	data, _ := os.ReadFile("/etc/os-release")
	for line := range strings.SplitSeq(string(data), "\n") {
		if id, ok := strings.CutPrefix(line, "ID="); ok {
			return strings.Trim(id, `"'`)
		}
	}
	return "linux"
}
