package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
	"github.com/grigri/grigri/state/zk"
)

func destroyCommand(log func() *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{Use: "destroy", Short: "End everything that runs for the controller of a directory.", Args: cobra.NoArgs,
		Long: "End everything that runs for the controller of a directory, whether or not it answers: the daemon, its ZooKeeper, all machines.\nIn an ensemble that is not its own it erases the tree. The directory stays and may then be removed. It may be run again."}
	dir := cmd.Flags().String("data-dir", "", "the controller's own directory")
	keep := cmd.Flags().Bool("keep-machines", false, "leave the machines to whoever has the credential of their cloud")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *dir == "" {
			return fmt.Errorf("--data-dir is missing; %w", errUsage)
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		if err := destroy(cmd.Context(), abs, *keep, log()); err != nil {
			return fmt.Errorf("destroy the controller in %s: %w", abs, err)
		}
		return nil
	}
	return cmd
}

func destroy(ctx context.Context, dir string, keep bool, log *slog.Logger) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	held, err := endDaemon(ctx, dir)
	if err != nil {
		return err
	}
	defer held.Close()
	if _, err := os.Stat(filepath.Join(dir, configFile)); errors.Is(err, fs.ErrNotExist) {
		return nil // it never ran
	}
	c, err := loadConfig(dir)
	if err != nil {
		return err
	}
	if keep {
		return c.eraseTree(ctx, dir)
	}
	return errors.Join(endMachines(ctx, dir, c, log), c.eraseTree(ctx, dir))
}

// endDaemon ends the daemon of the directory, asking first, and returns the lock that it had.
func endDaemon(ctx context.Context, dir string) (*os.File, error) {
	const polite, sure = 15 * time.Second, 30 * time.Second
	began := time.Now()
	asked, killed := false, false
	for {
		held, err := tryLock(dir)
		if err == nil {
			return held, nil
		}
		pid, perr := holder(dir)
		switch {
		case perr != nil || pid <= 1:
			return nil, errors.Join(err, perr)
		case !asked:
			_ = syscall.Kill(pid, syscall.SIGTERM) // it may be ending already
			asked = true
		case !killed && time.Since(began) > polite:
			_ = syscall.Kill(pid, syscall.SIGKILL)
			killed = true
		case time.Since(began) > sure:
			return nil, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// endMachines ends all machines of the controller.
func endMachines(ctx context.Context, dir string, c config, log *slog.Logger) error {
	beside, err := beside()
	if err != nil {
		return err
	}
	p, err := all.Open(c.spec(), all.Config{Dir: dir, Kept: string(controller.Plugins(dir)), Agent: filepath.Join(beside, "grigri-agent"), Log: log})
	if err != nil {
		return err
	}
	instances, err := p.List(ctx, c.UUID)
	if err != nil {
		return fmt.Errorf("list the machines: %w", err)
	}
	var ids []provider.InstanceID
	for _, i := range instances {
		ids = append(ids, i.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	return p.Stop(ctx, ids...)
}

// eraseTree erases the tree from an ensemble that stays.
func (c config) eraseTree(ctx context.Context, dir string) error {
	if c.ZooKeeper.own() {
		return nil
	}
	secrets, err := controller.LoadSecrets(dir)
	if err != nil {
		return err
	}
	conf, err := c.zkClient(secrets, c.ZooKeeper.Servers, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	store, err := zk.Open(ctx, conf)
	if err != nil {
		return fmt.Errorf("erase the tree: %w", err)
	}
	return errors.Join(controller.Erase(ctx, store), store.Close())
}
