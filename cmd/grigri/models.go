package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
)

// A modelInfo is a model as "models" and "show-model" print it.
type modelInfo struct {
	Name           string             `json:"name"`
	ShortName      string             `json:"short-name"`
	UUID           string             `json:"model-uuid"`
	ModelType      string             `json:"model-type"`
	ControllerUUID string             `json:"controller-uuid"`
	Controller     string             `json:"controller-name"`
	IsController   bool               `json:"is-controller"`
	Cloud          string             `json:"cloud"`
	Region         string             `json:"region,omitempty"`
	Type           string             `json:"type,omitempty"`
	Life           string             `json:"life"`
	Status         *statusWord        `json:"status,omitempty"`
	Users          map[string]userRow `json:"users,omitempty"`
	Machines       map[string]cores   `json:"machines,omitempty"`
	Access         string             `json:"access,omitempty"`
	LastConnection string             `json:"last-connection,omitempty"`
	Version        string             `json:"agent-version,omitempty"`
	MachineCount   int                `json:"machine-count,omitempty"`
	CoreCount      int                `json:"core-count,omitempty"`
	UnitCount      int                `json:"unit-count,omitempty"`
}

type statusWord struct {
	Current string `json:"current"`
	Message string `json:"message,omitempty"`
	Since   string `json:"since,omitempty"`
}

type userRow struct {
	DisplayName    string `json:"display-name,omitempty"`
	Access         string `json:"access"`
	LastConnection string `json:"last-connection"`
}

type cores struct {
	Cores int `json:"cores"`
}

func modelInfoOf(t target, m userapi.Model) modelInfo {
	kind := m.CloudType
	if kind == "" {
		kind = t.entry.Type
	}
	return modelInfo{Name: m.Owner + "/" + m.Name, ShortName: m.Name, UUID: string(m.UUID), ModelType: "iaas",
		ControllerUUID: t.entry.UUID, Controller: t.controller, IsController: m.Name == "controller", Cloud: m.Cloud,
		Region: m.Region, Type: kind, Life: m.Life, Version: m.Version,
		Status: &statusWord{Current: m.Status, Message: m.Message, Since: ago(m.Since, time.Now())}}
}

// ago is a time as people say it.
func ago(then, now time.Time) string {
	if then.IsZero() {
		return ""
	}
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit + " ago"
		}
		return fmt.Sprintf("%d %ss ago", n, unit)
	}
	switch d := now.Sub(then); {
	case d < 10*time.Second:
		return "just now"
	case d < time.Minute:
		return count(int(d/time.Second), "second")
	case d < time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return then.Format(time.DateOnly)
}

func (c *cli) modelsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "models", Aliases: []string{"list-models"}, Short: "List the models of a controller.", Args: argCount(0, 0, "")}
	controllerFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	uuid := cmd.Flags().Bool("uuid", false, "show the UUIDs")
	cmd.Flags().Bool("all", false, "all users' models")
	cmd.Flags().String("user", "", "another user's models")
	cmd.Flags().Bool("exact-time", false, "accepted for compatibility")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t, err := c.controllerTarget(cmd)
		if err != nil {
			return err
		}
		models, err := c.listModels(cmd.Context(), t)
		if err != nil {
			return err
		}
		b, err := t.store.read()
		if err != nil {
			return err
		}
		current := b.modelsOf(t.controller).Current
		info := struct {
			Models  []modelInfo `json:"models"`
			Current string      `json:"current-model,omitempty"`
		}{Models: []modelInfo{}, Current: shortName(current)}
		rows := [][]string{{"Model", "Cloud/Region", "Type", "Status", "Machines", "Cores", "Units", "Access", "Last connection"}}
		if *uuid {
			rows[0] = append(rows[0][:1], append([]string{"UUID"}, rows[0][1:]...)...)
		}
		for _, m := range models {
			mi := modelInfoOf(t, m)
			mi.Access, mi.LastConnection = m.Access, "just now"
			mi.MachineCount, mi.CoreCount, mi.UnitCount = len(m.MachineCores), m.Cores, m.Units
			mi.Status.Since = ""
			info.Models = append(info.Models, mi)
			name := m.Name
			if m.Owner != t.account.User {
				name = mi.Name
			}
			if mi.Name == current {
				name += "*"
			}
			row := []string{name, cloudRegion(m.Cloud, m.Region), mi.Type, m.Status, strconv.Itoa(mi.MachineCount), strconv.Itoa(m.Cores), strconv.Itoa(m.Units), m.Access, mi.LastConnection}
			if *uuid {
				row = append(row[:1], append([]string{mi.UUID}, row[1:]...)...)
			}
			rows = append(rows, row)
		}
		return o.write(info, func(w io.Writer) error {
			fmt.Fprintf(w, "Controller: %s\n\n", t.controller)
			writeTable(w, rows)
			return nil
		})
	}
	return cmd
}

func (c *cli) showModelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-model [model]", Short: "Show a model.", Args: argCount(0, 1, "")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			if err := cmd.Flags().Set("model", args[0]); err != nil {
				return err
			}
		}
		t, cl, err := c.model(cmd)
		if err != nil {
			return err
		}
		m, err := cl.Info(cmd.Context())
		if err != nil {
			return t.explain(err)
		}
		info := modelInfoOf(t, m)
		info.Machines = map[string]cores{}
		for id, n := range m.MachineCores {
			info.Machines[string(id)] = cores{n}
		}
		info.Users = map[string]userRow{m.Owner: {Access: "admin", LastConnection: "just now"}}
		return o.write(map[string]modelInfo{m.Name: info}, nil)
	}
	return cmd
}

func (c *cli) addModelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add-model name [cloud]", Aliases: []string{"create-model"}, Short: "Make a model.", Args: argCount(1, 2, "model name is required")}
	controllerFlag(cmd)
	config := pairsFlag(cmd, "config", "a setting of the model: key=value, or a YAML file of such")
	noSwitch := cmd.Flags().Bool("no-switch", false, "do not make it the model in focus")
	owner := cmd.Flags().String("owner", "", "whose model it is")
	credential := cmd.Flags().String("credential", "", "as whom its machines are asked for: a credential that the controller has, or this client")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !validModelName(args[0]) {
			return usagef("%q is not a valid name: model names may only contain lowercase letters, digits and hyphens", args[0])
		}
		t, err := c.controllerTarget(cmd)
		if err != nil {
			return err
		}
		settings, err := settingsOf(*config, "")
		if err != nil {
			return err
		}
		cl, err := c.dial(t)
		if err != nil {
			return err
		}
		want := userapi.CreateModel{Name: args[0], Owner: *owner, Config: settings, Credential: *credential}
		if len(args) == 2 {
			if want.Cloud, want.Region, err = place(cmd.Context(), cl, args[1]); err != nil {
				return err
			}
		}
		if err := c.bring(cmd.Context(), cl, t, want); err != nil {
			return err
		}
		m, err := cl.CreateModel(cmd.Context(), want)
		if err != nil {
			return err
		}
		err = t.store.update(func(b *book) error {
			e := b.modelsOf(t.controller)
			name := m.Owner + "/" + m.Name
			e.Models[name] = modelEntry{UUID: string(m.UUID), Type: "iaas"}
			if !*noSwitch {
				if e.Current != name {
					e.Previous, e.Current = e.Current, name
				}
				b.controllers.Current = t.controller
			}
			return nil
		})
		if err != nil {
			return err
		}
		as := ""
		if m.Credential != "" {
			as = fmt.Sprintf(" with credential '%s'", shortName(m.Credential))
		}
		c.infof("Added '%s' model on %s%s for user '%s'", m.Name, cloudRegion(m.Cloud, m.Region), as, m.Owner)
		return nil
	}
	return cmd
}

// place is the cloud and the region that a user means by CLOUD, CLOUD/REGION or, in the controller's own cloud, REGION.
func place(ctx context.Context, cl *client.Client, text string) (cloud, region string, err error) {
	cloud, region, _ = strings.Cut(text, "/")
	clouds, err := cl.Clouds(ctx)
	if err != nil {
		return "", "", err
	}
	if region != "" || slices.ContainsFunc(clouds, func(c provider.Cloud) bool { return c.Name == cloud }) {
		return cloud, region, nil
	}
	own, err := cl.Controller(ctx)
	if err != nil {
		return "", "", err
	}
	for _, c := range clouds {
		if c.Name == own.Cloud && slices.ContainsFunc(c.Regions, func(r provider.Region) bool { return r.Name == text }) {
			return "", text, nil
		}
	}
	var names []string
	for _, c := range clouds {
		names = append(names, c.Name)
	}
	return "", "", fmt.Errorf("%q is neither a cloud that the controller knows nor a region of its own: its clouds are %s; \"add-cloud --controller\" adds one", text, joined(names))
}

// bring gives the controller the client's credential that the model is to have, if the controller has none of that name.
func (c *cli) bring(ctx context.Context, cl *client.Client, t target, want userapi.CreateModel) error {
	if want.Credential == "" || strings.Contains(want.Credential, "/") {
		return nil
	}
	cloud := want.Cloud
	if cloud == "" {
		own, err := cl.Controller(ctx)
		if err != nil {
			return err
		}
		cloud = own.Cloud
	}
	there, err := cl.Credentials(ctx, cloud, want.Credential, false)
	if err != nil || len(there) > 0 {
		return err
	}
	b, err := c.book()
	if err != nil {
		return err
	}
	if e := b.credentials.Credentials[cloud]; e == nil || e.Credentials[want.Credential] == nil {
		return fmt.Errorf("credential %q for cloud %q is neither on the controller nor on this client", want.Credential, cloud)
	}
	return c.giveCredential(ctx, cl, t, cloud, want.Credential)
}

func validModelName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !letter && (r != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}
