package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/wire"
	"github.com/grigri/grigri/state"
)

// A tool is one command that hooks may call. Adding one is an entry in the table and its function.
type tool struct {
	name     string
	args     string // as the usage line shows them
	summary  string
	details  string
	examples string
	flags    []flag
	format   format // what it prints with
	run      func(context.Context, *call) (any, error)
}

// Names is the names of all tools.
func Names() []string {
	var names []string
	for _, t := range tools() {
		names = append(names, t.name)
	}
	return names
}

// tools is the table of all tools, by family.
func tools() []tool {
	return slices.Concat(relationTools(), configTools(), logTools(), portTools(), statusTools(), leaderTools(),
		networkTools(), stateTools(), goalTools(), actionTools(),
		resourceTools(), payloadTools(), metricTools(), credentialTools(),
		storageTools(), secretTools(), rebootTools())
}

// A call is one call of one tool.
type call struct {
	*Session
	tool   tool
	args   []string // without the options
	given  map[string]string
	inputs []wire.Input
	stderr bytes.Buffer // notes of a tool that succeeds
}

// call answers one request; it is the request's turn.
func (s *Session) call(ctx context.Context, req wire.Request) wire.Response {
	all := tools()
	i := slices.IndexFunc(all, func(t tool) bool { return t.name == req.Tool })
	if i < 0 {
		return failure(1, fmt.Errorf("bad request: unknown command: %s", req.Tool))
	}
	c := &call{Session: s, tool: all[i], given: map[string]string{}, inputs: req.Inputs}
	c.tool.flags = slices.Concat(c.tool.flags, c.tool.format.flags())
	value, err := c.do(ctx, req.Args)
	var need needInput
	switch {
	case errors.Is(err, errHelp):
		return wire.Response{Stdout: []byte(c.help())}
	case errors.As(err, &need):
		return wire.Response{Need: []string{string(need)}}
	case err != nil:
		return failure(exitCode(err), inContract(err))
	}
	out, err := c.render(value)
	if err != nil {
		return failure(1, err)
	}
	return wire.Response{Stdout: out, Stderr: c.stderr.Bytes(), Output: c.text("o")}
}

func (c *call) do(ctx context.Context, line []string) (any, error) {
	options, args, err := scan(c.tool.flags, line)
	// An option's value is checked in its place: whatever comes first is what is complained about.
	for _, o := range options {
		value := o.value
		if o.flag.check != nil {
			var bad error
			if value, bad = o.flag.check(ctx, c, o.value); bad != nil {
				return nil, usage("invalid value %q for option %s: %s", o.value, o.name, bad)
			}
		}
		c.given[o.flag.key()] = value
	}
	if err != nil {
		return nil, err
	}
	c.args = args
	return c.tool.run(ctx, c)
}

// text is the value of an option; on whether a switch is set.
func (c *call) text(name string) string {
	if v, ok := c.given[name]; ok {
		return v
	}
	for _, f := range c.tool.flags {
		if f.key() == name && f.preset != nil {
			return f.preset(c.Session)
		}
	}
	return ""
}

func (c *call) on(name string) bool { return c.text(name) == "true" }

// atMost refuses more than n arguments.
func (c *call) atMost(n int) error {
	if len(c.args) > n {
		return usage("unrecognized args: %q", c.args[n:])
	}
	return nil
}

// arg is the nth argument, or empty.
func (c *call) arg(n int) string {
	if n < len(c.args) {
		return c.args[n]
	}
	return ""
}

// needInput asks the caller for a file. A tool that returns it has changed nothing yet, and is called again.
type needInput string

func (n needInput) Error() string { return "needs " + string(n) }

// input is the content of one of the caller's files; "-" is its standard input.
func (c *call) input(name string) ([]byte, error) {
	for _, in := range c.inputs {
		if in.Name == name {
			return in.Data, nil
		}
	}
	return nil, needInput(name)
}

func exitCode(err error) int {
	var u usageError
	if errors.As(err, &u) {
		return 2
	}
	return 1
}

func failure(code int, err error) wire.Response {
	return wire.Response{Code: code, Stderr: []byte("ERROR " + strings.TrimRight(err.Error(), "\n") + "\n")}
}

// inContract puts an error of the vocabulary into the words that charms look for.
func inContract(err error) error {
	for _, known := range []error{hooks.ErrNoRelation, hooks.ErrNotLeader, hooks.ErrDenied} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.Is(err, state.ErrDenied) {
		return hooks.ErrDenied
	}
	return err
}
