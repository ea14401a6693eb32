package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// rebooter is how this machine starts again; nil when a reaper keeps it, which is told by our exit status.
func rebooter() func(context.Context) error {
	if os.Getenv(bootVariable) != "" {
		return nil
	}
	return reboot
}

// rebootTakes is how long a machine may take to go down.
const rebootTakes = 10 * time.Minute

// reboot starts the whole machine again. Then we are ended with all the rest.
func reboot(ctx context.Context) error {
	var failed error
	for _, c := range [][]string{{"systemctl", "reboot"}, {"shutdown", "-r", "now"}, {"reboot"}} {
		out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w: %s", c[0], err, out))
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(rebootTakes):
			return fmt.Errorf("%s has succeeded and the machine is still there after %s", c[0], rebootTakes)
		}
	}
	return failed
}
