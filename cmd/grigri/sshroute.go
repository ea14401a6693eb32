package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/internal/userapi"
)

// hostKeyPatience is how long a machine may take to tell the keys of its sshd.
const hostKeyPatience = 30 * time.Second

// A route is how ssh comes to a machine.
type route struct {
	sshhost.Target          // without a user: whoever ssh's own configuration says
	keys           []string // one of which the host must have
}

// routeTo is the route to the machine of a shell, as the user, or as whoever its user has given when he added it.
func routeTo(name, user string, shell userapi.Shell) (route, error) {
	if len(shell.Addresses) == 0 {
		return route{}, fmt.Errorf("%s has no address yet", name)
	}
	r := route{Target: sshhost.Target{Host: shell.Addresses[0]}, keys: shell.HostKeys}
	if t, err := sshhost.ParseTarget(shell.Addresses[0]); err == nil {
		r.Target = t
	}
	if user != "" {
		r.User = user
	}
	return r, nil
}

// words is the options and the destination of ssh.
func (r route) words() []string {
	var out []string
	if r.Port != 0 {
		out = append(out, "-p", strconv.Itoa(r.Port))
	}
	if r.User != "" {
		out = append(out, "-l", r.User)
	}
	return append(out, r.Host)
}

// trusting is the options with which ssh and scp know the hosts at the end of the routes by these keys, and by nothing else: neither by files of
// the user's, in which an address may have been another machine's, nor by a connection that was made before. The file that they name goes with forget.
func trusting(routes ...route) (options []string, forget func(), err error) {
	f, err := os.CreateTemp("", "grigri-known-hosts-")
	if err != nil {
		return nil, nil, fmt.Errorf("note the host's keys for ssh: %w", err)
	}
	forget = func() { os.Remove(f.Name()) }
	var text strings.Builder
	for _, r := range routes {
		for _, key := range r.keys {
			fmt.Fprintf(&text, "%s %s\n", knownhosts.Normalize(strings.ToLower(r.HostPort())), key)
		}
	}
	_, err = f.WriteString(text.String())
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		forget()
		return nil, nil, fmt.Errorf("note the host's keys for ssh: %w", err)
	}
	return sshOptions("StrictHostKeyChecking=yes", `UserKnownHostsFile="`+strings.ReplaceAll(f.Name(), "%", "%%")+`"`,
		"IgnoreUnknown=KnownHostsCommand", "KnownHostsCommand=none", "HashKnownHosts=no", "VerifyHostKeyDNS=no", "ControlPath=none"), forget, nil
}

// anyKey is the options with which ssh and scp take any key.
func anyKey() []string {
	return sshOptions("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
}

func sshOptions(own ...string) (out []string) {
	for _, o := range append(own, "GlobalKnownHostsFile=/dev/null", "CheckHostIP=no", "UpdateHostKeys=no") {
		out = append(out, "-o", o)
	}
	return out
}

// known asks for the shell until it is known by which keys the host can be told that it leads to.
func (c *cli) known(ctx context.Context, ask func(context.Context) (userapi.Shell, error)) (userapi.Shell, error) {
	for end, told := time.Now().Add(hostKeyPatience), false; ; told = true {
		shell, err := ask(ctx)
		switch {
		case err != nil || !shell.SSH || len(shell.HostKeys) > 0 && len(shell.Addresses) > 0:
			return shell, err
		case time.Now().After(end) && len(shell.Addresses) == 0:
			return shell, nil // which is told by whoever wants one
		case time.Now().After(end):
			return shell, fmt.Errorf("SSH keys for machine %s are not yet available: its agent has told none within %s: does it run, and does the machine have an sshd with its keys in /etc/ssh? "+
				"--no-host-key-checks goes on without", shell.Machine, hostKeyPatience)
		case !told:
			c.infof("waiting for the ssh host keys of machine %s", shell.Machine)
		}
		select {
		case <-ctx.Done():
			return shell, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
