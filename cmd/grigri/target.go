package main

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// A target is the controller, and for most commands the model, that a command is for.
type target struct {
	store      clientStore
	controller string
	entry      controllerEntry
	account    account
	model      string // qualified: admin/shop
	uuid       string // of the model; empty when it is not known here
	starter    string // the command that starts the controller; empty when it is not on this host
}

const (
	noController = "no controllers registered; create one with \"%[1]s bootstrap\""
	noCurrent    = "no controller in focus; choose one with \"%[1]s switch\" or \"--controller\""
	noModel      = "no model in focus; see \"%[1]s models\", choose one with \"%[1]s switch\", or make one with \"%[1]s add-model\""
)

func modelFlag(cmd *cobra.Command) {
	cmd.Flags().StringP("model", "m", "", "the model to work on: [controller:]model")
}

func controllerFlag(cmd *cobra.Command) {
	cmd.Flags().StringP("controller", "c", "", "the controller to work on")
}

// controllerTarget finds the controller of a command: its flag, the environment, or the current one.
func (c *cli) controllerTarget(cmd *cobra.Command) (target, error) {
	name, _ := cmd.Flags().GetString("controller")
	if name == "" {
		name = c.env("CONTROLLER")
	}
	if model := c.env("MODEL"); name == "" && strings.Contains(model, ":") {
		name, _, _ = strings.Cut(model, ":")
	}
	return c.openTarget(name)
}

func (c *cli) openTarget(name string) (target, error) {
	s, err := c.openStore()
	if err != nil {
		return target{}, err
	}
	b, err := s.read()
	if err != nil {
		return target{}, err
	}
	if len(b.controllers.Controllers) == 0 {
		return target{}, fmt.Errorf(noController, c.name)
	}
	if name == "" {
		name = b.controllers.Current
	}
	if name == "" {
		return target{}, fmt.Errorf(noCurrent, c.name)
	}
	e := b.controllers.Controllers[name]
	if e == nil {
		return target{}, fmt.Errorf("controller %s not found", name)
	}
	return target{store: s, controller: name, entry: *e, account: b.accounts.Controllers[name], starter: starter(b.bootstrap.Controllers[name].DataDir)}, nil
}

// starter is the command that starts the controller whose directory this is, as one types it.
func starter(dir string) string {
	if dir == "" {
		return ""
	}
	if strings.ContainsFunc(dir, func(r rune) bool {
		return !strings.ContainsRune("/._-+,:@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return "grigrid run --data-dir " + dir
}

// modelTarget finds the model of a command: its flag, the environment, or the current one.
func (c *cli) modelTarget(cmd *cobra.Command) (target, error) {
	name, _ := cmd.Flags().GetString("model")
	if name == "" {
		name, _ = cmd.Flags().GetString("environment")
	}
	if name != "" {
		return c.openModel(name)
	}
	model, controller := c.env("MODEL"), c.env("CONTROLLER")
	if of, _, ok := strings.Cut(model, ":"); ok && controller != "" && of != controller {
		return target{}, fmt.Errorf("the environment names two controllers: %s in the model variable and %s in the controller variable", of, controller)
	}
	if model != "" {
		if controller != "" && !strings.Contains(model, ":") {
			model = controller + ":" + model
		}
		return c.openModel(model)
	}
	return c.openModel(controller + ":")
}

var uuidPrefix = regexp.MustCompile(`^[0-9a-f]{6,8}(-[0-9a-f-]*)?$`)

// openModel finds a model by [controller:][owner/]name, UUID or the beginning of one. The name may be empty for the current one.
func (c *cli) openModel(ref string) (target, error) {
	controller, name, ok := strings.Cut(ref, ":")
	if !ok {
		controller, name = "", ref
	}
	t, err := c.openTarget(controller)
	if err != nil {
		return target{}, err
	}
	b, err := t.store.read()
	if err != nil {
		return target{}, err
	}
	models := b.modelsOf(t.controller)
	if name == "" {
		if name = models.Current; name == "" {
			return target{}, fmt.Errorf(noModel, c.name)
		}
	}
	t.model = t.qualify(name)
	if m, ok := models.Models[t.model]; ok {
		t.uuid = m.UUID
		return t, nil
	}
	if uuidPrefix.MatchString(name) {
		found := 0
		for full, m := range models.Models {
			if strings.HasPrefix(m.UUID, name) {
				t.model, t.uuid = full, m.UUID
				found++
			}
		}
		if found > 1 {
			return target{}, fmt.Errorf("%q is the beginning of %d models' UUIDs: give more of it", name, found)
		}
	}
	return t, nil
}

// qualify is the model's name with its owner: the user's own models may be named without.
func (t target) qualify(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return t.account.User + "/" + name
}

// shortName is the model's name without its owner.
func shortName(qualified string) string {
	_, name, ok := strings.Cut(qualified, "/")
	if !ok {
		return qualified
	}
	return name
}
