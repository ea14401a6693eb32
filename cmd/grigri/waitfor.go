package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/controller/status"
	"github.com/grigri/grigri/internal/query"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (c *cli) waitForCommand() *cobra.Command {
	kinds := waitKinds()
	cmd := &cobra.Command{Use: "wait-for model|application|unit|machine name", Short: "Wait until a query about a thing holds.", Long: waitForHelp(kinds),
		Args: argCount(2, 2, "say what to wait for: model, application, unit or machine, and its name")}
	modelFlag(cmd)
	colourFlags(cmd)
	o := c.outputFlags(cmd, "plain", "json", "yaml")
	text := cmd.Flags().String("query", "", "what is to hold; without it, that the thing is alive, and available, active or started")
	timeout := cmd.Flags().Duration("timeout", 10*time.Minute, "how long to wait; with 0 it is asked once")
	summary := cmd.Flags().Bool("summary", true, "show the thing's part of the status at the end")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []cobra.Completion
		for _, k := range kinds {
			if len(args) == 0 {
				names = append(names, k.name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		i := slices.IndexFunc(kinds, func(k waitKind) bool { return k.name == args[0] })
		if i < 0 {
			return usagef("cannot wait for %q: wait for a model, an application, a unit or a machine", args[0])
		}
		w := &waiter{c: c, kind: kinds[i], name: args[1], timeout: *timeout, text: kinds[i].query}
		if cmd.Flags().Changed("query") {
			w.text = *text
		}
		if w.timeout < 0 {
			return usagef("--timeout must not be negative")
		}
		if w.kind.name == "model" && cmd.Flags().Changed("model") {
			return usagef("name the model as the argument, without --model")
		}
		if err := w.parse(); err != nil {
			return err
		}
		if err := w.open(cmd); err != nil {
			return err
		}
		err := w.run(cmd.Context())
		if cmd.Context().Err() != nil || !w.over {
			return err
		}
		if shown := o.write(w.outcome(), func(out io.Writer) error { return w.summarize(out, *summary, c.colour(cmd)) }); shown != nil {
			return shown
		}
		return err
	}
	return cmd
}

func waitForHelp(kinds []waitKind) string {
	var b strings.Builder
	b.WriteString(`Wait until a query about a model, an application, a unit or a machine holds. What is not there yet is waited for; what goes meanwhile is asked about once more,
with the life "dead", and the wait ends. When the time is up, or the thing is gone, the exit status is 1, and what does not hold is named.

A query compares fields (== != < > <= >=) with strings, numbers, true and false, and joins comparisons with && || ! and parentheses. There are the functions
len, startsWith, endsWith, int, float, string, print, and forEach(units, unit => unit.agent-status=="idle"); units["web/0"].life is a field of one unit.
`)
	for _, k := range kinds {
		fmt.Fprintf(&b, "\nFields of one %s: %s. Without --query: %s\n", k.name, strings.Join(fieldNames(k.schema), ", "), k.query)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// How often and how long the controller is asked.
const (
	oneLook  = 30 * time.Second       // a request that waits for a change takes no longer
	lookEnd  = 20 * time.Second       // after the time is up an answer is awaited no longer than this: the first of a large model takes long
	nextLook = time.Second            // from one request that could not wait for a change to the next
	calm     = 200 * time.Millisecond // from one that could: a model that never rests is not read without end
)

// A waiter is one call of the command.
type waiter struct {
	c       *cli
	kind    waitKind
	name    string
	text    string // of the query
	query   *query.Query
	timeout time.Duration
	target  target
	client  *client.Client
	model   client.Model

	begun    time.Time
	progress *progress
	looked   bool // the controller has answered
	revision string
	report   status.Report
	entity   query.Entity // as it was last seen; nil: it was never there
	answer   query.Answer // about entity
	printed  string       // what print said last
	problem  error        // why the controller could not be asked the last time
	over     bool         // the wait has ended by itself: outcome has something to say
	reason   string       // why, when the query does not hold: timed out, or removed
}

// parse reads the query and the name, before anything is asked of a controller.
func (w *waiter) parse() error {
	var at *query.Error
	var err error
	if w.query, err = query.Parse(w.text, w.kind.schema); errors.As(err, &at) {
		if strings.ContainsAny(w.text, "\n\t") {
			return usagef("--query: %v", err)
		}
		return usagef("--query: %v\n  %s\n  %s^", err, w.text, strings.Repeat(" ", at.Column-1))
	}
	switch w.kind.name {
	case "application":
		if !charm.ValidApplicationName(w.name) {
			err = fmt.Errorf("%q is not a valid application name", w.name)
		}
	case "unit":
		_, err = state.ParseUnit(w.name)
	case "machine":
		_, err = state.ParseMachine(w.name)
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}

// open finds the model: the one to wait for, or the one that the thing is in.
func (w *waiter) open(cmd *cobra.Command) (err error) {
	if w.kind.name == "model" {
		w.target, err = w.c.openModel(w.name)
	} else {
		w.target, err = w.c.modelTarget(cmd)
	}
	if err == nil {
		w.client, err = w.c.dial(w.target)
	}
	if err == nil {
		w.model = w.client.Model(w.target.ref())
	}
	return err
}

// run waits until the query holds, and otherwise says why it does not.
func (w *waiter) run(ctx context.Context) error {
	w.begun = time.Now()
	w.progress = w.c.progress()
	defer w.progress.end()
	for {
		err := w.look(ctx, max(w.left(), 0))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || w.over {
			return err
		}
		w.progress.say("%s", w.state())
		left := w.left()
		if left <= 0 {
			w.end("timed out")
			return fmt.Errorf("timed out after %s: %s", w.timeout, w.state())
		}
		pause := calm
		if w.problem != nil || w.revision == "" {
			pause = nextLook
		}
		select {
		case <-time.After(min(pause, left)):
		case <-ctx.Done():
		}
	}
}

func (w *waiter) left() time.Duration { return w.timeout - time.Since(w.begun) }

func (w *waiter) end(reason string) { w.over, w.reason = true, reason }

// look asks the controller how the thing is once that has changed, or when the wait is over. Its error ends the wait.
func (w *waiter) look(ctx context.Context, left time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, left+lookEnd)
	defer cancel()
	if w.kind.name == "model" && w.entity == nil {
		if there, err := w.findModel(ctx); !there || err != nil {
			return err
		}
	}
	report, revision, err := w.model.StatusAfter(ctx, w.revision, min(left, oneLook), w.selectors()...)
	switch {
	case err == nil:
		w.looked, w.problem, w.report, w.revision = true, nil, report, revision
		entity, there := w.kind.find(newWaitModel(report.Status), w.name)
		return w.see(entity, there, !there && w.entity != nil)
	case client.IsCode(err, userapi.NotFound) && w.looked:
		return w.see(nil, false, true)
	}
	return w.passing(err)
}

// findModel asks for a model that has not been seen yet: whether it is there now. There is no way to wait for that at the controller.
func (w *waiter) findModel(ctx context.Context) (bool, error) {
	m, err := w.model.Info(ctx)
	if client.IsCode(err, userapi.NotFound) && w.target.uuid != "" { // the one of that name that this client knew may have gone, and another come
		m, err = w.client.Model(w.target.model).Info(ctx)
	}
	switch {
	case err == nil:
		w.looked, w.model = true, w.client.Model(string(m.UUID))
		return true, nil
	case client.IsCode(err, userapi.NotFound):
		w.looked, w.problem = true, nil
		return false, nil
	}
	return false, w.passing(err)
}

// passing remembers an error that may pass by itself, once the controller has answered at all. Others it returns.
func (w *waiter) passing(err error) error {
	if !w.looked || !client.Passing(err) {
		return w.target.explain(err)
	}
	w.problem = err
	return nil
}

// selectors choose the part of the status that has all that a query can ask of.
func (w *waiter) selectors() []string {
	if w.kind.name == "model" {
		return nil
	}
	return []string{w.name}
}

// see takes in how the thing is: there, not there yet, or gone.
func (w *waiter) see(entity query.Entity, there, gone bool) error {
	switch {
	case there:
		w.entity, w.answer = entity, w.query.Ask(entity)
		w.print(w.answer.Printed)
		if w.answer.Holds {
			w.end("")
		}
	case gone && w.entity == nil:
		w.end("removed")
		return fmt.Errorf("model %s has been removed before %s came", shortName(w.target.model), w.what())
	case gone:
		return w.bury()
	}
	return nil
}

// bury takes in that the thing is gone, and does not come back. That is what was waited for if the query holds because the life is dead, and
// not only because nothing is left of what the thing had: there is no unit in what is gone that is not idle.
func (w *waiter) bury() error {
	dead := plainFields(w.entity)
	for name, t := range w.kind.schema.Fields {
		if t.Kind == query.Many {
			dead[name] = query.Set{}
		}
	}
	dead["life"] = "alive"
	anyway := w.query.Ask(dead).Holds
	dead["life"] = "dead"
	w.entity = dead
	answer := w.query.Ask(dead)
	w.print(answer.Printed)
	if answer.Holds && !anyway {
		w.answer = answer
		w.end("")
		return nil
	}
	w.end("removed")
	return fmt.Errorf("%s has been removed, and nothing will bring it back: it waited for %s", w.what(), w.unmet())
}

// print says what the query prints, when that changes.
func (w *waiter) print(lines []string) {
	text := strings.Join(lines, "\n")
	if text != w.printed && text != "" {
		w.progress.end()
		w.c.infof("%s", text)
	}
	w.printed = text
}

func (w *waiter) what() string {
	if w.kind.name == "machine" || w.kind.name == "unit" {
		return w.kind.name + " " + w.name
	}
	return fmt.Sprintf("%s %q", w.kind.name, w.name)
}

// state is what the wait is still for, and why.
func (w *waiter) state() string {
	text := w.what() + " waits for " + w.unmet()
	if w.entity == nil {
		text = w.what() + " is not there: it has not come yet, or was gone before the wait began"
	}
	if w.problem != nil {
		text += "; the controller could not be asked again: " + w.problem.Error()
	}
	return text
}

// maxUnmet is how many parts of a query are named to people.
const maxUnmet = 4

// unmet is what does not hold.
func (w *waiter) unmet() string {
	var parts []string
	for i, u := range w.answer.Unmet {
		if i == maxUnmet {
			parts = append(parts, fmt.Sprintf("%d more", len(w.answer.Unmet)-i))
			break
		}
		parts = append(parts, u.String())
	}
	return strings.Join(parts, ", ")
}

// A waitOutcome is what came of the wait, for programs.
type waitOutcome struct {
	Kind   string         `json:"kind"`
	Name   string         `json:"name"`
	Query  string         `json:"query"`
	Met    bool           `json:"met"`
	Reason string         `json:"reason,omitempty"` // timed out, or removed
	Unmet  []query.Unmet  `json:"unmet,omitempty"`
	Now    map[string]any `json:"now,omitempty"` // the fields of the thing as they were last; without it it was never there
	Error  string         `json:"error,omitempty"`
}

func (w *waiter) outcome() waitOutcome {
	out := waitOutcome{Kind: w.kind.name, Name: w.name, Query: w.text, Met: w.answer.Holds, Reason: w.reason, Unmet: w.answer.Unmet, Now: plainFields(w.entity)}
	if w.problem != nil {
		out.Error = w.problem.Error()
	}
	return out
}

// summarize shows the thing's part of the status, if it is there.
func (w *waiter) summarize(out io.Writer, wanted, color bool) error {
	if !wanted || w.entity == nil || w.entity["life"] == "dead" {
		return nil
	}
	loc, utc := w.c.location(false)
	w.report.Status = w.report.Status.In(loc, utc)
	return status.WriteTabular(out, w.report, status.TabularOptions{Color: color})
}
