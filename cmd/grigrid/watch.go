package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/internal/programs"
)

// limits is how long other programs may take to come up.
type limits struct {
	try   time.Duration // beside those that run, which go on if they do not
	come  time.Duration // in place of those, which are put back if they do not
	leave time.Duration // to end when they are asked to
}

// flags lets whoever knows his machine choose them. They go with the command line to the programs that take over.
func (l *limits) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&l.try, "try-timeout", 2*time.Minute, "in an upgrade: how long other programs may take to come up beside these")
	cmd.Flags().DurationVar(&l.come, "come-timeout", 4*time.Minute, "in an upgrade: how long they may take in place of these")
	cmd.Flags().DurationVar(&l.leave, "leave-timeout", 30*time.Second, "how long either may take to end")
}

// startWatch starts a process of this program that sees to it that programs which take over this process come up, or others do.
func startWatch(data string, l limits) error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("watch the programs that take over: %w", err)
	}
	own := os.NewFile(uintptr(fd), "this process")
	defer own.Close()
	args := []string{"watch", "--data-dir", data, "--patience", (l.come + l.leave).String(), "--"}
	cmd := exec.Command("/proc/self/exe", append(args, os.Args[1:]...)...)
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{own}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("watch the programs that take over: %w", err)
	}
	return nil
}

// watchedFD is the process that is watched, as startWatch hands it on.
const watchedFD = 3

// watchCommand is the process that startWatch starts. When the programs in place are killed, or end, before they have come up, it starts
// them as whoever is called next would; when they hang, it puts those before them in place. It ends when they have come up.
// Under a supervisor it ends with what it watches, and the supervisor does that.
func watchCommand(log func() *slog.Logger) *cobra.Command {
	cmd := &cobra.Command{Use: "watch", Hidden: true}
	f := cmd.Flags()
	data := f.String("data-dir", "", "")
	patience := f.Duration("patience", 0, "")
	apart := f.Bool("apart", false, "") // it is its own session, and nobody waits for it
	cmd.RunE = func(cmd *cobra.Command, run []string) error {
		if !*apart {
			next := exec.Command("/proc/self/exe", append([]string{"watch", "--apart"}, os.Args[2:]...)...)
			next.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			next.Stderr, next.ExtraFiles = os.Stderr, []*os.File{os.NewFile(watchedFD, "the process")}
			return next.Start()
		}
		ended, err := watch(cmd.Context(), programs.Controller(*data), watchedFD, *patience, log())
		if err != nil || !ended {
			return err
		}
		unix.CloseOnExec(watchedFD)
		return syscall.Exec("/proc/self/exe", append([]string{"grigrid"}, run...), os.Environ())
	}
	return cmd
}

// watch waits until the programs in place have come up or been replaced, or until the process of theirs has ended without that.
func watch(ctx context.Context, dir programs.Dir, process int, patience time.Duration, log *slog.Logger) (ended bool, err error) {
	const tick = time.Second
	for end := time.Now().Add(patience); ctx.Err() == nil; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(tick.Milliseconds()))
		if err != nil && err != unix.EINTR {
			return false, fmt.Errorf("watch the programs in place: %w", err)
		}
		switch trying := dir.Trying(); {
		case n > 0 && trying:
			log.Error("the programs in place have ended and not come up: they are started again")
			return true, nil
		case n > 0 || !trying:
			return false, nil
		case time.Now().After(end):
			why := fmt.Sprintf("it hung and has not come up in %s", patience)
			log.Error("the programs before are put back in place", "why", why)
			if err := dir.GiveUp(why); err != programs.ErrReplaced {
				return false, err
			}
			if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil {
				return false, fmt.Errorf("end the programs that were in place: %w", err)
			}
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, -1)
			return true, nil
		}
	}
	return false, nil
}
