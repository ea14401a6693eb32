package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/state"
)

// enrol gives the machine its identity. The token comes in the environment, where others cannot read it.
func enrol(ctx context.Context, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet("enrol", flag.ContinueOnError)
	data := fs.String("data-dir", "", "the directory of all that the agent keeps")
	model := fs.String("model", "", "the UUID of the model")
	machine := fs.String("machine", "", "the machine: 4, or 4-lxd-0")
	ca := fs.String("ca", "", "the file with the certificate of the controllers' authority")
	addresses := fs.String("addresses", "", "host:port of every controller, with blanks between them")
	if err := parse(fs, args, stderr); err != nil {
		return err
	}
	token := os.Getenv("GRIGRI_TOKEN")
	if token == "" {
		return usageError{fmt.Errorf("GRIGRI_TOKEN is not set: it holds the one-time token of the machine")}
	}
	authority, err := os.ReadFile(*ca)
	if err != nil {
		return fmt.Errorf("read the certificate of the controllers' authority: %w", err)
	}
	_, err = enroll.Enroll(ctx, *data, enroll.Token{Model: state.ModelID(*model), Machine: state.MachineOfNode(*machine),
		Token: token, CA: string(authority), Addresses: strings.Fields(*addresses)})
	return err
}
