package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/internal/programs"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/internal/version"
	"github.com/grigri/grigri/state"
)

// own is what this build says of itself.
func own() userapi.Build {
	return userapi.Build{Release: version.Grigri, Juju: version.Juju, Format: state.FormatNumber, Arch: runtime.GOARCH, Program: build()}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print what this program is, as JSON.", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(own())
	}}
}

// buildOf asks a program what it is.
func buildOf(ctx context.Context, program string) (b userapi.Build, err error) {
	out, err := exec.CommandContext(ctx, program, "version").Output()
	if err == nil {
		err = json.Unmarshal(out, &b)
	}
	if err != nil {
		return b, fmt.Errorf("ask %s what it is: %w", program, err)
	}
	return b, nil
}

// upgrades is the programs of a daemon, and which of them are to take its place. It is what the API knows of them.
type upgrades struct {
	dir  programs.Dir
	busy chan struct{} // held by whoever fetches

	mu   sync.Mutex
	next string // the hash of those that are to go on
}

func newUpgrades(data string) *upgrades {
	return &upgrades{dir: programs.Controller(data), busy: make(chan struct{}, 1)}
}

// Keep implements api.Programs.
func (u *upgrades) Keep(ctx context.Context, hash string, r io.Reader) (userapi.Build, error) {
	select {
	case u.busy <- struct{}{}:
		defer func() { <-u.busy }()
	case <-ctx.Done():
		return userapi.Build{}, ctx.Err()
	}
	if err := u.dir.Fetch(ctx, hash, func(context.Context, string) (io.ReadCloser, error) { return io.NopCloser(r), nil }); err != nil {
		return userapi.Build{}, err
	}
	return u.Kept(ctx, hash)
}

// Kept implements api.Programs.
func (u *upgrades) Kept(ctx context.Context, hash string) (userapi.Build, error) {
	if !u.dir.Has(hash) {
		return userapi.Build{}, &state.NotFoundError{Kind: "programs", Name: hash}
	}
	return buildOf(ctx, u.dir.Of(hash))
}

// Next implements api.Programs.
func (u *upgrades) Next(hash string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.next != "" && u.next != hash {
		return fmt.Errorf("the upgrade to %.12s is under way: wait until it has ended", u.next)
	}
	u.next = hash
	return nil
}

// Last implements api.Programs.
func (u *upgrades) Last() *userapi.Upgrade {
	u.mu.Lock()
	next := u.next
	u.mu.Unlock()
	if next != "" {
		return &userapi.Upgrade{To: next}
	}
	if hash, why := u.dir.Refused(); hash != "" {
		return &userapi.Upgrade{To: hash, Failed: why}
	}
	return nil
}

// wanted is the programs that are to go on; these do if it is empty. From here on others may be asked for.
func (u *upgrades) wanted() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	hash := u.next
	u.next = ""
	return hash
}

// replace puts other programs in place of these, once they have been seen to come up here. If they do not, that is noted, and these go on.
func (d *daemon) replace(ctx context.Context, to string, servers []string) error {
	err := d.upgrades.dir.Adopt(d.ownHash(), d.copyOwn)
	if err == nil {
		err = d.try(ctx, d.upgrades.dir.Of(to), servers)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = d.upgrades.dir.Replace(to)
	}
	if err == nil {
		return programs.ErrReplaced
	}
	d.log.Error("the programs to upgrade to are not put in place: the controller goes on as it is", "programs", to, "err", err)
	return d.upgrades.dir.Refuse(to, err.Error())
}

// ownHash names the programs that run, if they have no name yet.
func (d *daemon) ownHash() string { return hashOf(build() + d.agent) }

// copyOwn writes the programs that run into a directory, whatever is beside the program now.
func (d *daemon) copyOwn(dir string) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	if err := programs.Copy(filepath.Join(dir, d.upgrades.dir.Main), self); err != nil {
		return err
	}
	agent, _, err := controller.Agents(d.dir).Open(d.agent)
	if err != nil {
		return err
	}
	defer agent.Close()
	return programs.Unpack(dir, agent)
}

// try has a program run the controller until its API answers. This one does not run it meanwhile.
func (d *daemon) try(ctx context.Context, program string, servers []string) error {
	runtime.LockOSThread() // the kernel ends the child with the thread that made it
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(ctx, d.limits.try)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "try", "--data-dir", d.dir, "--zookeeper", strings.Join(servers, ","))
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = d.limits.leave
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it has not come up in %s", d.limits.try)
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("it does not come up: %w; it said last:\n%s", err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
	return nil
}

// tryCommand is what an older version calls to see whether this one comes up. It has the directory's lock, and keeps ZooKeeper.
func tryCommand(log func() *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{Use: "try", Hidden: true, Args: cobra.NoArgs}
	dir := cmd.Flags().String("data-dir", "", "")
	servers := cmd.Flags().StringSlice("zookeeper", nil, "")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		came := false
		d := daemon{dir: *dir, log: log(), ready: func(string) {
			came = true
			cancel()
		}}
		if d.config, err = loadConfig(d.dir); err != nil {
			return err
		}
		if d.secrets, err = controller.LoadSecrets(d.dir); err != nil {
			return err
		}
		if err := d.control(ctx, *servers); err != nil || came {
			return err
		}
		return errors.New("it ended before its API answered")
	}
	return cmd
}

// replaceCommand is for when the API does not answer.
func replaceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "replace", Short: "Put other programs in place of a controller's.", Args: cobra.NoArgs,
		Long: "Put the programs of an archive in place of a controller's, whose daemon is ended. \"grigrid run\" then starts them, and those before if they do not\ncome up. While the API answers, \"grigri upgrade-controller\" does that."}
	f := cmd.Flags()
	dir := f.String("data-dir", "", "the controller's own directory")
	file := f.String("archive", "", "the file of the archive")
	hash := f.String("sha256", "", "what its SHA-256 must be")
	first := f.String("first", "", "the directory of the programs that the controller was made with")
	downgrade := f.Bool("downgrade", false, "they may be older")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for flag, v := range map[string]string{"--data-dir": *dir, "--archive": *file, "--sha256": *hash} {
			if v == "" {
				return fmt.Errorf("%s is missing; %w", flag, errUsage)
			}
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		if err := replace(cmd.Context(), abs, *file, *hash, *first, *downgrade); err != nil {
			return fmt.Errorf("replace the programs of the controller in %s: %w", abs, err)
		}
		return nil
	}
	return cmd
}

func replace(ctx context.Context, data, file, hash, first string, downgrade bool) error {
	if _, err := loadConfig(data); err != nil {
		return err
	}
	dir := programs.Controller(data)
	if err := dir.Fetch(ctx, hash, func(context.Context, string) (io.ReadCloser, error) { return os.Open(file) }); err != nil {
		return err
	}
	before := dir.Program()
	if dir.Current() == "" {
		before = filepath.Join(first, dir.Main)
	}
	if have, err := buildOf(ctx, before); err == nil { // who cannot even say what it is, is not asked
		to, err := buildOf(ctx, dir.Of(hash))
		if err == nil {
			_, err = userapi.CheckUpgrade(have, to, downgrade)
		}
		if err != nil {
			return err
		}
	}
	held, err := endDaemon(ctx, data)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := os.Remove(filepath.Join(data, readyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if first == "" && dir.Current() == "" { // there is nothing to go back to
		return dir.Adopt(hash, nil)
	}
	if err := dir.Adopt(hashOf(first), func(to string) error { return copyPrograms(first, to) }); err != nil {
		return err
	}
	if dir.Current() == hash {
		return nil
	}
	return dir.Replace(hash)
}

func copyPrograms(from, to string) error {
	for _, name := range []string{"grigrid", "grigri-agent", "hooktool"} {
		f, err := os.Open(filepath.Join(from, name))
		if err == nil {
			err = errors.Join(programs.Copy(filepath.Join(to, name), f), f.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sentVariable says which programs this process was started as, by others that had counted that start.
const sentVariable = "GRIGRI_PROGRAMS"

// follow goes on as the programs that are in place, if these are not: then it returns only when that fails.
func (d *daemon) follow() error {
	dir, log := d.upgrades.dir, d.log
	sent := os.Getenv(sentVariable)
	if err := os.Unsetenv(sentVariable); err != nil { // it is not for what we start
		return err
	}
	if now := dir.Current(); now == "" || now == sent {
		return nil
	}
	if err := dir.Starting(); errors.Is(err, programs.ErrReplaced) {
		_, why := dir.Refused()
		log.Error("the programs before are put back in place", "why", why)
	} else if err != nil {
		return err
	}
	if dir.Trying() {
		if err := startWatch(d.dir, d.limits); err != nil {
			log.Warn("go on without a watch", "err", err)
		}
	}
	return syscall.Exec(dir.Program(), append([]string{dir.Program()}, os.Args[1:]...), append(os.Environ(), sentVariable+"="+dir.Current()))
}
