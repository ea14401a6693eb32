package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/manual"
	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/state"
)

// addHost makes a machine of a host that the user has. The controller never logs in there: the key or password is used here, and stays here.
type addHost struct {
	c          *cli
	model      client.Model
	controller target
	target     sshhost.Target
	public     string // the file of a key to let in

	host    *sshhost.Host
	release func() // lets others have the host
	p       *progress
}

// How long a host may take to enrol, then its agent to show itself, and, when that fails, to be cleaned.
const (
	enrolPatience = 10 * time.Minute
	agentPatience = 2 * time.Minute
	cleanPatience = time.Minute
)

func (a *addHost) run(ctx context.Context, l login) error {
	a.p = a.c.progress()
	defer a.p.end()
	if err := a.add(ctx, l); err != nil {
		return fmt.Errorf("add %s: %w", a.target, err)
	}
	return nil
}

func (a *addHost) add(ctx context.Context, l login) error {
	var public []byte
	if a.public != "" {
		var err error
		if public, err = os.ReadFile(a.public); err != nil {
			return fmt.Errorf("read the public key: %w", err)
		}
	}
	controller, err := a.c.dial(a.controller)
	if err != nil {
		return err
	}
	known, err := controller.Controller(ctx) // before anything is done there: somebody must take the machine
	if err != nil {
		return a.controller.explain(err)
	}
	config, err := a.c.sshConfig(a.target, l, a.p)
	if err != nil {
		return err
	}
	a.p.say("connecting to %s", a.target)
	if a.host, err = sshhost.Dial(ctx, config); err != nil {
		return err
	}
	defer a.host.Close()
	if a.release, err = manual.Hold(ctx, a.host); err != nil {
		return err
	}
	defer func() { a.release() }()
	a.p.say("looking at it")
	facts, err := manual.Look(ctx, a.host, known.Addresses)
	if err != nil {
		return err
	}
	if err := facts.Refuse(); err != nil {
		return err
	}
	if len(known.Addresses) > 0 && len(facts.Reached) == 0 {
		return fmt.Errorf("it cannot reach the controller at %s: machines connect to their controller, so there must be a way from there, and no firewall in it", strings.Join(known.Addresses, ", "))
	}
	for _, id := range facts.Begun {
		a.p.say("removing what an interrupted try has left there")
		if err := manual.Remove(ctx, a.host, id); err != nil {
			return err
		}
	}
	return a.provision(ctx, facts, public)
}

// provision makes the machine and brings it up, or leaves nothing of it, here or there.
func (a *addHost) provision(ctx context.Context, facts manual.Facts, public []byte) error {
	addresses := append([]string{a.host.Address()}, facts.Addresses...)
	id, err := a.model.AddHost(ctx, state.ManualMachine{Target: a.fullTarget(), Base: facts.Base, Hardware: facts.Hardware, Addresses: unique(addresses), HostKeys: a.hostKeys()})
	if err != nil {
		return err
	}
	if err := a.bringUp(ctx, id, public); err != nil {
		a.p.end()
		a.c.infof("removing what has been made of machine %s", id)
		if ctx.Err() != nil {
			err = errInterrupted
		}
		return errors.Join(err, a.undo(context.WithoutCancel(ctx), id))
	}
	a.p.end()
	a.c.infof("created machine %s", id)
	return nil
}

// fullTarget is the target with the user that was meant, so that others can use it.
func (a *addHost) fullTarget() string {
	t := a.target
	t.User = a.host.Login()
	return t.String()
}

// hostKeys is by what others may know the host: the key that was the right one here, if it is one that any sshd has.
func (a *addHost) hostKeys() []string {
	key, err := state.ParseHostKey(a.host.Key())
	if err != nil {
		return nil
	}
	return []string{key}
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (a *addHost) bringUp(ctx context.Context, id state.MachineID, public []byte) error {
	script, err := a.model.HostScript(ctx, id)
	if err != nil {
		return err
	}
	a.p.say("installing the agent of machine %s", id)
	limited, cancel := context.WithTimeoutCause(ctx, enrolPatience, fmt.Errorf("it has not enrolled within %s", enrolPatience))
	defer cancel()
	if err := manual.Install(limited, a.host, script, sayer{a.p}); err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			return context.Cause(limited)
		}
		return err
	}
	if public != nil {
		if err := manual.Authorize(ctx, a.host, a.host.Login(), string(public)); err != nil {
			return err
		}
	}
	a.p.say("waiting for the agent of machine %s", id)
	return a.await(ctx, id)
}

// await waits until the machine's agent has shown itself.
func (a *addHost) await(ctx context.Context, id state.MachineID) error {
	end := time.Now().Add(agentPatience)
	for {
		report, err := a.model.Status(ctx, string(id))
		if err != nil {
			return a.controller.explain(err)
		}
		m := report.Status.Machines[id]
		switch {
		case m.Agent.Current == "started":
			return nil
		case time.Now().After(end):
			return fmt.Errorf("machine %s has enrolled, and its agent has not shown itself within %s: it is %s: can the host reach the controller's ZooKeeper?", id, agentPatience, m.Agent.Current)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// undo makes host and tree what they were.
func (a *addHost) undo(ctx context.Context, id state.MachineID) error {
	ctx, cancel := context.WithTimeout(ctx, cleanPatience)
	defer cancel()
	var errs []error
	if err := a.clean(ctx, id); err != nil {
		errs = append(errs, fmt.Errorf("clean the host: %w: add it again to have it cleaned", err))
	}
	if _, err := a.model.RemoveMachine(ctx, id, client.Removal{Force: true}); err != nil {
		errs = append(errs, fmt.Errorf("remove machine %s: %w: do it with \"%s remove-machine --force %s\"", id, err, a.c.name, id))
	}
	return errors.Join(errs...)
}

// clean takes what is ours off the host. The connection may be broken, and we may have been interrupted.
func (a *addHost) clean(ctx context.Context, id state.MachineID) (err error) {
	a.release()
	a.release = func() {}
	if err := a.host.Reconnect(ctx); err != nil {
		return err
	}
	release, err := manual.Hold(ctx, a.host)
	if err != nil {
		return err
	}
	a.release = release
	return manual.Remove(ctx, a.host, string(id))
}

// sayer tells what a script says, the last line of it.
type sayer struct{ p *progress }

func (s sayer) Write(text []byte) (int, error) {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if last := lines[len(lines)-1]; len(last) > 0 {
		s.p.say("%s", last)
	}
	return len(text), nil
}
