package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

func (c *cli) secretCommands() []*cobra.Command {
	return []*cobra.Command{c.secretsCommand(), c.showSecretCommand(), c.addSecretCommand(), c.updateSecretCommand(),
		c.grantSecretCommand(false), c.grantSecretCommand(true), c.removeSecretCommand()}
}

// A shownSecret is a secret as secrets and show-secret print it.
type shownSecret struct {
	Revision    int                    `json:"revision"`
	Checksum    string                 `json:"checksum,omitempty"`
	Expires     string                 `json:"expires,omitempty"`
	Rotation    string                 `json:"rotation,omitempty"`
	Rotates     string                 `json:"rotates,omitempty"`
	Owner       string                 `json:"owner"`
	Description string                 `json:"description,omitempty"`
	Name        string                 `json:"name,omitempty"`
	Label       string                 `json:"label,omitempty"`
	Created     string                 `json:"created"`
	Updated     string                 `json:"updated"`
	Content     any                    `json:"content,omitempty"`
	Revisions   []shownSecretRevision  `json:"revisions,omitempty"`
	Access      []userapi.SecretAccess `json:"access,omitempty"`
}

type shownSecretRevision struct {
	Revision int    `json:"revision"`
	Backend  string `json:"backend"`
	Created  string `json:"created"`
	Updated  string `json:"updated"`
	Expires  string `json:"expires,omitempty"`
}

func secretTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// shown is the secret for output; structured says that a value stands in its own object, as JSON has it.
func showSecret(s userapi.Secret, revisions, structured bool) shownSecret {
	latest, _ := s.Latest()
	if rev, ok := s.Secret.Revision(s.Shown); ok {
		latest = rev
	}
	out := shownSecret{Revision: latest.Number, Checksum: s.Checksum, Expires: secretTime(latest.Expire), Rotation: string(s.Rotate), Rotates: secretTime(s.NextRotate),
		Owner: s.Owner.Name(), Description: s.Description, Name: s.Name, Label: s.Label, Created: secretTime(s.Created), Updated: secretTime(s.Updated), Access: s.Access}
	if s.Value != nil {
		content := map[string]string{}
		for k, v := range s.Value {
			content[k] = printable(v)
		}
		out.Content = content
		if structured {
			out.Content = map[string]any{"Data": content}
		}
	}
	if revisions {
		for _, r := range s.Revisions {
			out.Revisions = append(out.Revisions, shownSecretRevision{r.Number, "internal", secretTime(r.Created), secretTime(r.Created), secretTime(r.Expire)})
		}
	}
	return out
}

func (c *cli) secretsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "secrets", Aliases: []string{"list-secrets"}, Short: "List the secrets of the model.", Args: argCount(0, 0, "")}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "tabular", "json", "yaml")
	owner := cmd.Flags().String("owner", "", "only those of this application or unit, or, with the name of the model, of users")
	revisions := cmd.Flags().Bool("revisions", false, "list every revision")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		all, err := m.Secrets(cmd.Context())
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("owner") {
			own, err := ownerFilter(*owner, t.model)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(s userapi.Secret) bool { return s.Owner != own })
		}
		shown := map[string]shownSecret{}
		for _, s := range all {
			shown[string(s.ID)] = showSecret(s, *revisions, true)
		}
		return o.write(shown, func(w io.Writer) error { return secretTable(w, all, *revisions) })
	}
	return cmd
}

// ownerFilter is the owner that a user means: an application, a unit, a tag of either, or the model.
func ownerFilter(text, model string) (state.SecretOwner, error) {
	if text == "<model>" || text == model || text == model[strings.LastIndexByte(model, '/')+1:] || strings.HasPrefix(text, "model-") {
		return state.SecretOwner{}, nil
	}
	if tag, ok := strings.CutPrefix(text, "unit-"); ok && !strings.Contains(text, "/") {
		text = string(state.UnitOfNode(tag))
	}
	if strings.Contains(text, "/") {
		u, err := state.ParseUnit(text)
		return state.SecretOwner{Unit: u}, err
	}
	if text == "" {
		return state.SecretOwner{}, usagef("invalid value \"\" for option --owner: name an application, a unit or the model")
	}
	return state.SecretOwner{Application: state.ApplicationName(strings.TrimPrefix(text, "application-"))}, nil
}

func secretTable(w io.Writer, all []userapi.Secret, revisions bool) error {
	if len(all) == 0 {
		return nil
	}
	rows := [][]string{{"ID", "Name", "Owner", "Rotation", "Revision", "Last updated"}}
	for _, s := range all {
		name, rotation := s.Name, string(s.Rotate)
		if name == "" {
			name = s.Label
		}
		if name == "" {
			name = "-"
		}
		if rotation == "" {
			rotation = "never"
		}
		row := func(n int, at time.Time) {
			rows = append(rows, []string{string(s.ID), name, s.Owner.Name(), rotation, strconv.Itoa(n), at.UTC().Format("2006-01-02 15:04:05")})
		}
		if revisions {
			for _, r := range s.Revisions {
				row(r.Number, r.Created)
			}
		} else if latest, ok := s.Latest(); ok {
			row(latest.Number, s.Updated)
		}
	}
	writeTable(w, rows, 4)
	return nil
}

func (c *cli) showSecretCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show-secret secret", Short: "Show a secret, by its name or ID.", Args: argCount(1, 1, "missing secret URI or name"),
		Long: "Show a secret, by its name or ID. Its value is shown only with --reveal."}
	modelFlag(cmd)
	o := c.outputFlags(cmd, "yaml", "json")
	reveal := cmd.Flags().Bool("reveal", false, "show the value too")
	revision := cmd.Flags().IntP("revision", "r", 0, "the revision to show, instead of the latest; needs --reveal")
	revisions := cmd.Flags().Bool("revisions", false, "list the revisions")
	exclusive(cmd, "revisions", "reveal")
	exclusive(cmd, "revisions", "revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("revision") && *revision < 1 {
			return usagef("revision must be a positive integer")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		var s userapi.Secret
		if *reveal {
			s, err = m.RevealSecret(cmd.Context(), args[0], *revision)
		} else if s, err = m.Secret(cmd.Context(), args[0]); err == nil && *revision > 0 {
			if _, ok := s.Secret.Revision(*revision); !ok {
				err = fmt.Errorf("secret %q revision %d not found", args[0], *revision)
			}
			s.Shown = *revision
		}
		if err != nil {
			return err
		}
		shown := map[string]shownSecret{string(s.ID): showSecret(s, *revisions, o.format == "json")}
		return o.write(shown, nil)
	}
	return cmd
}

// secretArgs reads a value: key=value words, key#base64=value, key#file=path, over those of a YAML file. It is nil if there is none.
func secretArgs(words []string, file string) (state.SecretContent, error) {
	pairs := map[string]string{}
	if file != "" {
		data, err := readInput(file)
		if err != nil {
			return nil, fmt.Errorf("read the secret: %w", err)
		}
		if pairs, err = settingsFile(data, file, ""); err != nil {
			return nil, err
		}
	}
	for i, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return nil, usagef("argument %d of the value is not of the form key=value", i+1)
		}
		if bare, isFile := strings.CutSuffix(key, "#file"); isFile {
			data, err := os.ReadFile(value)
			if err != nil {
				return nil, fmt.Errorf("read the value of %s: %w", bare, err)
			}
			key, value = bare, string(data)
		}
		if _, twice := pairs[key]; twice && slices.ContainsFunc(words[:i], func(w string) bool { return strings.HasPrefix(w, key+"=") }) {
			return nil, usagef("key %q is given twice", key)
		}
		pairs[key] = value
	}
	if len(words) == 0 && file == "" {
		return nil, nil
	}
	content, err := state.NewSecretContent(pairs)
	if err != nil {
		return nil, usagef("%s", err)
	}
	return content, nil
}

func readInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(name)
}

func (c *cli) addSecretCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add-secret name key[#base64|#file]=value...", Short: "Add a secret, and print its URI.", Args: argCount(1, -1, "missing secret name"),
		Long: "Add a secret, and print its URI. Applications read it once it has been granted to them with grant-secret.\n" +
			"A value with #base64 is base64 already; one with #file is the path of a file that holds it."}
	modelFlag(cmd)
	file := cmd.Flags().String("file", "", "a YAML file with keys and values; - is standard input")
	info := cmd.Flags().String("info", "", "what the secret is for")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		value, err := secretArgs(args[1:], *file)
		if err != nil {
			return err
		}
		if value == nil {
			return usagef("missing secret value or filename")
		}
		if err := state.ValidSecretName(args[0]); err != nil {
			return usagef("%s", err)
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		id, err := m.AddSecret(cmd.Context(), userapi.AddSecret{Name: args[0], Info: *info, Value: value})
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, id.URI())
		return nil
	}
	return cmd
}

func (c *cli) updateSecretCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "update-secret secret [key[#base64|#file]=value...]", Short: "Change a secret of users: a new value is a new revision.",
		Args: argCount(1, -1, "missing secret URI or name")}
	modelFlag(cmd)
	file := cmd.Flags().String("file", "", "a YAML file with keys and values; - is standard input")
	info := cmd.Flags().String("info", "", "what the secret is for")
	name := cmd.Flags().String("name", "", "a new name")
	prune := cmd.Flags().Bool("auto-prune", false, "remove revisions that no one uses any more")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		value, err := secretArgs(args[1:], *file)
		if err != nil {
			return err
		}
		u := userapi.UpdateSecret{Value: value}
		if cmd.Flags().Changed("info") {
			u.Info = info
		}
		if cmd.Flags().Changed("name") {
			if err := state.ValidSecretName(*name); err != nil {
				return usagef("%s", err)
			}
			u.Name = name
		}
		if cmd.Flags().Changed("auto-prune") {
			u.AutoPrune = prune
		}
		if value == nil && u.Info == nil && u.Name == nil && u.AutoPrune == nil {
			return usagef("must specify a new value, name, info or auto-prune")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.UpdateSecret(cmd.Context(), args[0], u)
	}
	return cmd
}

func (c *cli) grantSecretCommand(revoke bool) *cobra.Command {
	cmd := &cobra.Command{Use: "grant-secret secret application[,application...]", Short: "Let applications read a secret of users.",
		Args: argCount(2, 2, "missing secret or application name")}
	if revoke {
		cmd.Use, cmd.Short = "revoke-secret secret application[,application...]", "Let applications read a secret of users no more."
	}
	modelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		g := userapi.GrantSecret{Revoke: revoke}
		for _, a := range splitCommas(args[1]) {
			g.Applications = append(g.Applications, state.ApplicationName(a))
		}
		if len(g.Applications) == 0 {
			return usagef("missing application name")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.GrantSecret(cmd.Context(), args[0], g)
	}
	return cmd
}

func (c *cli) removeSecretCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove-secret secret", Short: "Remove a secret of users, or one of its revisions.", Args: argCount(1, 1, "missing secret URI or name")}
	modelFlag(cmd)
	revision := cmd.Flags().Int("revision", 0, "remove only this revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("revision") && *revision < 1 {
			return usagef("revision must be a positive integer")
		}
		_, m, err := c.model(cmd)
		if err != nil {
			return err
		}
		return m.RemoveSecret(cmd.Context(), args[0], *revision)
	}
	return cmd
}

// printable is a value as text; one that is no text is shown in base64.
func printable(v []byte) string {
	if utf8.Valid(v) {
		return string(v)
	}
	return base64.StdEncoding.EncodeToString(v)
}
