package controller

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/internal/initscript"
)

// Agents is where a controller with its files in dir keeps the agent's archives.
func Agents(dir string) archive.Dir { return archive.Dir(filepath.Join(dir, "agents")) }

// KeepAgent packs the agent's programs, which lie in the directory programs, into the archive that machines install, keeps it
// among the controller's files in dir, and returns its hash. The same programs always give the same.
func KeepAgent(dir, programs string) (hash string, err error) {
	files := map[string][]byte{}
	for _, name := range []string{initscript.Agent, initscript.HookTool} {
		if files[name], err = os.ReadFile(filepath.Join(programs, name)); err != nil {
			return "", fmt.Errorf("pack the agent: the programs %s and %s belong beside grigrid: %w", initscript.Agent, initscript.HookTool, err)
		}
	}
	data, err := initscript.Archive(files)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	hash = hex.EncodeToString(sum[:])
	if f, _, err := Agents(dir).Open(hash); err == nil {
		return hash, f.Close()
	}
	return hash, Agents(dir).Put(hash, bytes.NewReader(data), int64(len(data)), nil)
}
