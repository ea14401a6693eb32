package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
)

// A shownPayload is a payload as "payloads" prints it.
type shownPayload struct {
	Unit    string   `json:"unit"`
	Machine string   `json:"machine"`
	ID      string   `json:"id"`
	Type    string   `json:"type"`
	Class   string   `json:"payload-class"`
	Tags    []string `json:"tags,omitempty"`
	Status  string   `json:"status"`
}

func (c *cli) payloadsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "payloads [pattern...]", Aliases: []string{"list-payloads"}, Short: "Show what the charms have told of with payload-register.",
		Long: "Show what the charms have told of with payload-register. A pattern is a unit, a machine, a class, a type, an id, a status or a tag; what matches one of them is shown."}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		all, err := m.Payloads(cmd.Context())
		if err != nil {
			return err
		}
		shown := []shownPayload{}
		for _, p := range all {
			if len(args) == 0 || slices.ContainsFunc(args, func(pattern string) bool { return matchesPayload(p, pattern) }) {
				shown = append(shown, shownPayload{string(p.Unit), string(p.Machine), p.ID, p.Type, p.Class, p.Labels, p.Status})
			}
		}
		if len(shown) == 0 && o.format == "tabular" {
			c.infof("No payloads to display.")
			return nil
		}
		return o.write(map[string]any{"payloads": shown}, func(w io.Writer) error {
			rows := [][]string{{"Unit", "Machine", "Payload class", "Status", "Type", "Id", "Tags"}}
			for _, s := range shown {
				rows = append(rows, []string{s.Unit, s.Machine, s.Class, s.Status, s.Type, s.ID, strings.Join(s.Tags, " ")})
			}
			writeTable(w, rows)
			return nil
		})
	}
	return cmd
}

func matchesPayload(p userapi.Payload, pattern string) bool {
	return slices.Contains(append(p.Labels, string(p.Unit), string(p.Machine), p.Class, p.Type, p.ID, p.Status), pattern)
}
