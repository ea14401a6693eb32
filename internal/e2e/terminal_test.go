package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// typed runs the client at a terminal, where somebody answers each question that has one of these texts in it, as often as it is asked.
// It returns all that is shown there.
func (e *environment) typed(answers map[string]string, args ...string) (string, error) {
	e.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := e.command(ctx, args...)
	out, err := atTerminal(cmd, answers)
	if err != nil {
		err = fmt.Errorf("grigri %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return out, err
}

// atTerminal is the end of a command, and all that it has shown.
func atTerminal(cmd *exec.Cmd, answers map[string]string) (string, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		return "", err
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	slave.Close()
	if err != nil {
		return "", err
	}
	var shown strings.Builder
	buf, fresh := make([]byte, 4096), 0
	for {
		n, err := master.Read(buf)
		if err != nil { // nobody has the terminal open any more
			break
		}
		shown.Write(buf[:n])
		for question, answer := range answers {
			if i := strings.Index(shown.String()[fresh:], question); i >= 0 {
				fresh += i + len(question)
				fmt.Fprintln(master, answer)
			}
		}
	}
	return shown.String(), cmd.Wait()
}
