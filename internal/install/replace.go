package install

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/grigri/grigri/provider"
)

// A Replacement says which programs are to be put in place of a controller's, on its host. It is for a controller that does not answer.
type Replacement struct {
	Host      provider.Host
	Data      string        // the controller's directory there
	Grigrid   string        // the program there that replaces, and that starts what is in place
	Starter   func() string // if that is another one: "" is none
	First     string        // the directory of the programs that the controller was made with, if it is known
	Plain     bool          // it is no service of systemd's
	Archive   []byte
	Hash      string
	Downgrade bool
	Say       func(step string)
}

// Run replaces the programs and starts them. What does not come up is replaced by what was there before: which of them
// has come up the controller says itself.
func (r Replacement) Run(ctx context.Context) error {
	r.Say("putting the programs there")
	file := r.Data + "/programs.tar.gz"
	if err := r.Host.Put(ctx, file, 0o600, bytes.NewReader(r.Archive)); err != nil {
		return &StepError{Step: "put the programs on the machine", Err: err}
	}
	r.Say("replacing the programs")
	more := ""
	if r.First != "" {
		more = " --first " + quote(r.First)
	}
	if r.Downgrade {
		more += " --downgrade"
	}
	script := fmt.Sprintf("trap 'rm -f %s' EXIT\n%s replace --data-dir %s --archive %s --sha256 %s%s", file, quote(r.Grigrid), quote(r.Data), quote(file), r.Hash, more)
	if err := step(ctx, r.Host, "replace the programs", script); err != nil {
		return err
	}
	r.Say("starting the controller")
	return r.Start(ctx)
}

// Start starts what is in place, if it does not run, and waits until it answers.
func (r Replacement) Start(ctx context.Context) error {
	plain := ""
	if r.Plain {
		plain = "yes"
	}
	starter := r.Grigrid
	if r.Starter != nil {
		starter = cmp.Or(r.Starter(), starter)
	}
	return step(ctx, r.Host, "start the controller", fmt.Sprintf("data=%s grigrid=%s plain=%s\n%s", quote(r.Data), quote(starter), plain, serviceScript))
}
