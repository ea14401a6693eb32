package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
)

// dial makes a client for the controller; it connects with the first request.
func (c *cli) dial(t target) (*client.Client, error) {
	return client.New(client.Config{Name: t.controller, Addresses: t.entry.Endpoints, CA: t.entry.CA, User: t.account.User, Password: t.account.Password,
		Start: t.starter})
}

// model finds the model that a command is for and makes a client for it.
func (c *cli) model(cmd *cobra.Command) (target, client.Model, error) {
	t, err := c.modelTarget(cmd)
	if err != nil {
		return t, client.Model{}, err
	}
	cl, err := c.dial(t)
	if err != nil {
		return t, client.Model{}, err
	}
	return t, cl.Model(t.ref()), nil
}

// ref is how the model is named to the controller.
func (t target) ref() string {
	if t.uuid != "" {
		return t.uuid
	}
	return t.model
}

// explain names the model as the user does when it is what the controller does not know.
func (t target) explain(err error) error {
	if client.IsCode(err, userapi.NotFound) && strings.HasPrefix(err.Error(), "model ") {
		return fmt.Errorf("model %s:%s not found", t.controller, t.model)
	}
	return err
}
