// Lxdenv runs a command with a real LXD, as lxdtest gives it to tests: lxdenv COMMAND [ARGUMENT]...
// The command finds it by LXD_DIR and LXD_CONF, as lxc does, and by GRIGRI_LXD_SOCKET, GRIGRI_LXD_ADDRESS,
// GRIGRI_LXD_NETWORK, GRIGRI_LXD_POOL and GRIGRI_LXD_IMAGE. What it makes in the project is removed when it ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/grigri/grigri/internal/lxdtest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: lxdenv COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	err := run(os.Args[1:])
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command []string) error {
	// The command, in the same terminal, is interrupted too; here that must not keep Close from running.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := lxdtest.Acquire()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(s.Env(), "GRIGRI_LXD_SOCKET="+s.Socket, "GRIGRI_LXD_ADDRESS="+s.Address,
		"GRIGRI_LXD_NETWORK="+lxdtest.Network, "GRIGRI_LXD_POOL="+lxdtest.Pool, "GRIGRI_LXD_IMAGE="+s.Image)
	err = cmd.Run()
	if closed := s.Close(); closed != nil {
		fmt.Fprintln(os.Stderr, closed)
		err = errors.Join(err, closed)
	}
	return err
}
