package machine

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/grigri/grigri/state"
)

// sshDir is where sshd has its keys, unless it is told otherwise.
const sshDir = "/etc/ssh"

// hostKeys is the public keys of the sshd whose files are in dir, in an order of their own. Whoever logs in must know one of them.
func hostKeys(dir string) []string {
	files, _ := filepath.Glob(filepath.Join(dir, "ssh_host_*_key.pub")) // the pattern is a good one
	var out []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just been removed
		}
		if key, err := state.ParseHostKey(string(text)); err == nil && len(out) < state.MaxHostKeys {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}
