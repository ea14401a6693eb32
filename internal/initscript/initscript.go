// Package initscript makes what a new machine runs first, the same for all providers, and the archive that it installs.
// It is pure.
package initscript

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/provider"
)

var (
	//go:embed init.sh
	body string
	//go:embed remove.sh
	remove string
)

// RemoveFile is, in a manual machine's own directory, the script that takes the agent off the host, for whoever has nothing else left.
const RemoveFile = "remove.sh"

// FirewallFile is there too, and is what nft loads when the host starts: the agent's table, if it is to keep one.
const FirewallFile = "firewall.nft"

// Manual is the Script of a machine that no provider has made. It leaves Removal where the agent finds it.
func Manual(model, machine string, init provider.Init) []byte {
	return script(model, machine, string(Removal(machine)), init)
}

// Removal takes the agent of the machine off a host that is no provider's, with all that Manual has put there. When GRIGRI_LEAVING is set
// the agent itself runs it, and ends after it. It may be run again.
func Removal(machine string) []byte {
	return fmt.Appendf(nil, "#!/bin/sh\n# Takes the agent of machine %s off this host.\nmachine=%s\n%s", oneLine(machine), quote(machine), remove)
}

// Script is the first-boot script of the machine: it installs the agent, checked against init.AgentHash, trades the
// token for a certificate, and starts the agent. It may be run any number of times, at every boot too.
// It needs sh, tar, gzip, sha256sum, and one of curl, wget and python3.
func Script(model, machine string, init provider.Init) []byte {
	return script(model, machine, "", init)
}

func script(model, machine, removal string, init provider.Init) []byte {
	_, path, _ := strings.Cut(agentapi.BinaryRoute, " ")
	var b bytes.Buffer
	fmt.Fprintf(&b, "#!/bin/sh\n# Brings up machine %s of a grigri model. It may be run again.\n", oneLine(machine))
	for _, v := range []struct{ name, value string }{
		{"model", model},
		{"machine", machine},
		{"hash", init.AgentHash},
		{"path", strings.ReplaceAll(path, "{hash}", init.AgentHash)},
		{"addresses", strings.Join(init.Addresses, " ")},
		{"token", init.Token},
		{"ca", strings.TrimSpace(init.CA)},
		{"removal", removal},
		{"aliases", strings.Join(Aliases(), " ")},
	} {
		fmt.Fprintf(&b, "%s=%s\n", v.name, quote(v.value))
	}
	b.WriteString(body)
	return b.Bytes()
}

// quote is s as one word of the shell, whatever it holds.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// The files of an agent's archive.
const (
	Agent    = "grigri-agent"
	HookTool = "hooktool"
)

// Aliases is what the agent is called besides by charms, by their cron jobs and by users: links to it, beside it.
func Aliases() []string { return []string{"jujud", "juju-exec", "juju-run", "juju_machine_lock"} }

// Archive packs an agent's archive, a gzipped tar of executables by name. The same files give the same bytes, and so the same hash.
func Archive(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name])), Format: tar.FormatUSTAR}); err != nil {
			return nil, fmt.Errorf("pack the agent's archive: %s: %w", name, err)
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, fmt.Errorf("pack the agent's archive: %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the agent's archive: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack the agent's archive: %w", err)
	}
	return b.Bytes(), nil
}
