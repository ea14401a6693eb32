// Command scale measures what many units cost: a real ZooKeeper, a real controller, and the real agents of machines and units
// whose hooks run no process. It makes an environment of so many units, changes it, breaks its parts, and prints what each took and
// whom it woke. It judges nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(command()) }

// A plan is what is to be measured.
type plan struct {
	dir     string // for all files; empty: a temporary one
	units   int
	big     int // units of one application that have a machine each
	each    int // units on each other machine
	hosts   int // processes that play machines
	heap    int // MiB of ZooKeeper's heap; zero: as the product has it
	rest    int // seconds at rest, with the hook update-status every five minutes
	profile string
}

func command() int {
	var p plan
	flag.IntVar(&p.units, "units", 1000, "how many units")
	flag.IntVar(&p.big, "big", 0, "how many of them are one application's, with a machine each; zero: a tenth")
	flag.IntVar(&p.each, "each", 20, "how many of the others are on one machine")
	flag.IntVar(&p.hosts, "hosts", 2, "how many processes play the machines")
	flag.IntVar(&p.heap, "heap", 0, "MiB of ZooKeeper's heap; zero: as the product has it")
	flag.IntVar(&p.rest, "rest", 60, "seconds to look at it at rest, with update-status")
	flag.StringVar(&p.profile, "profile", "", "a directory for CPU and heap profiles of the controller")
	flag.StringVar(&p.dir, "dir", "", "the directory for all files, which is kept; a temporary one if empty")
	role := flag.String("role", "", "for its own processes: controller, machines")
	share := flag.String("share", "", "for its own processes: which machines, 0/2")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: scale [-units N] [-big N] [-each N] [-hosts N] [-heap MiB] [-rest SECONDS] [-profile DIR] [-dir DIR]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if p.big == 0 {
		p.big = max(p.units/10, 1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch *role {
	case "":
		err = measure(ctx, p)
	case "controller":
		err = control(ctx, p.dir)
	case "machines":
		err = machines(ctx, p.dir, *share)
	default:
		err = fmt.Errorf("there is no role %q", *role)
	}
	switch {
	case *role == "" && ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "scale: interrupted")
		return 130
	case err != nil && !errors.Is(err, context.Canceled):
		fmt.Fprintf(os.Stderr, "scale %s: %v\n", *role, err)
		return 1
	}
	return 0
}
