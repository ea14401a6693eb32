// Command bench prints how fast grigri is and how much memory it takes, each as a ratio to what the same work costs without
// it, measured in turns in one run. It judges nothing: it exits 0 whether the aims hold or not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() { os.Exit(command()) }

func command() int {
	bin := flag.String("bin", "build/bin", "the directory of the built programs")
	quick := flag.Bool("quick", false, "measure each thing a few times only: to see that the benchmark works")
	only := flag.String("only", "", "measure only this: "+benchNames())
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bench [-bin DIR] [-quick] [-only NAME]")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := bench(ctx, *bin, *quick, *only); {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// A place is where a benchmark works.
type place struct {
	bin   string // the built programs
	dir   string // for its files; short, since sockets lie below it
	quick bool
}

// times is how often to measure: n times, or a few.
func (p place) times(n int) int {
	if p.quick {
		return max(3, n/50)
	}
	return n
}

// benches is what can be measured, in the order of the report. Each prints its rows when it is done.
func benches() []struct {
	name string
	run  func(context.Context, place, *report) error
} {
	return []struct {
		name string
		run  func(context.Context, place, *report) error
	}{
		{"hook", noopHook},
		{"tool", toolCall},
		{"wake", wake},
		{"bootstrap", bootstrap},
		{"memory", atRest},
	}
}

func benchNames() string {
	var s string
	for i, b := range benches() {
		if i > 0 {
			s += ", "
		}
		s += b.name
	}
	return s
}

func bench(ctx context.Context, bin string, quick bool, only string) (err error) {
	p := place{quick: quick}
	if p.bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	for _, program := range []string{"grigri", "grigrid", "grigri-agent", "hooktool"} {
		if _, err := os.Stat(filepath.Join(p.bin, program)); err != nil {
			return fmt.Errorf("find the program %s: %w: build it with make build, or say with -bin where it is", program, err)
		}
	}
	known := false
	r := newReport(os.Stdout)
	for _, b := range benches() {
		if only != "" && only != b.name {
			continue
		}
		known = true
		if p.dir, err = os.MkdirTemp("", "ggb"); err != nil {
			return err
		}
		err = b.run(ctx, p, r)
		if err = errors.Join(err, os.RemoveAll(p.dir)); err != nil {
			return fmt.Errorf("measure %s: %w", b.name, err)
		}
	}
	if !known {
		return fmt.Errorf("there is no benchmark %q: want one of %s", only, benchNames())
	}
	r.print()
	return nil
}
