package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/reaper"
	"github.com/grigri/grigri/provider"
)

// A machine is what is known of one: the file machine.json in its directory.
type machine struct {
	ID         string    `json:"id"`
	Controller string    `json:"controller"`
	Model      string    `json:"model"`
	Machine    string    `json:"machine"`
	Address    string    `json:"address"`
	Created    time.Time `json:"created"`
	Stopping   bool      `json:"stopping,omitempty"`
}

// The files and directories of a machine.
const (
	stateFile  = "machine.json"
	lockFile   = reaper.LockFile // locked by the reaper as long as it lives; holds its reaper.Record
	scriptFile = "init.sh"
	logFile    = "console.log" // what the script and a dying agent print
	dataDir    = "data"        // /var/lib/juju of the machine
	logDir     = "log"         // /var/log/juju of the machine
	trash      = ".gone-"      // before the name of a directory that is being removed
)

// maxLog is the size of a console log that a new start no longer appends to.
const maxLog = 1 << 20

var idForm = regexp.MustCompile(`^[0-9a-f]{8}-[A-Za-z0-9][A-Za-z0-9.-]*$`)

func validID(id string) bool { return idForm.MatchString(id) }

// instanceID names the machine's directory: short, because unix sockets lie below it.
func instanceID(controller, model, id string) string {
	sum := sha256.Sum256([]byte(controller + "\x00" + model))
	return hex.EncodeToString(sum[:4]) + "-" + strings.ReplaceAll(id, "/", "-")
}

func (p *Provider) dir(id string, elem ...string) string {
	return filepath.Join(append([]string{p.Dir, id}, elem...)...)
}

// read wraps fs.ErrNotExist when there is no such machine. Any other error means: conclude nothing.
func (p *Provider) read(id string) (machine, error) {
	var m machine
	data, err := os.ReadFile(p.dir(id, stateFile))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil || m.ID != id {
		return m, fmt.Errorf("read %s: it is not the state of machine %s (%v); remove the directory when you know that nothing of it runs", p.dir(id, stateFile), id, err)
	}
	return m, nil
}

func (p *Provider) write(m machine) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(p.dir(m.ID, stateFile), data, 0o600)
}

// writeFile leaves the old file or the new one, never a part.
func writeFile(name string, data []byte, mode os.FileMode) error {
	tmp := name + ".new"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// make makes the directory of a machine, its state last: without that file there is no machine.
// The caller holds the provider's lock.
func (p *Provider) make(id string, req provider.StartRequest) (machine, error) {
	if err := os.RemoveAll(p.dir(id)); err != nil {
		return machine{}, err
	}
	for _, d := range []string{p.dir(id), p.dir(id, dataDir), p.dir(id, logDir)} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return machine{}, err
		}
	}
	if err := writeFile(p.dir(id, scriptFile), req.Init.Script, 0o700); err != nil {
		return machine{}, err
	}
	m := machine{ID: id, Controller: req.Controller, Model: req.Model, Machine: req.Machine, Created: time.Now().UTC()}
	lock, err := p.address(&m)
	if err != nil {
		return machine{}, err
	}
	defer lock.Close()
	return m, p.write(m)
}

// environ is the environment of everything on the machine.
func (p *Provider) environ(m machine) []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return []string{
		"PATH=" + path, "LANG=C.UTF-8",
		marker + p.dir(m.ID),
		"GRIGRI_DATA_DIR=" + p.dir(m.ID, dataDir),
		"GRIGRI_LOG_DIR=" + p.dir(m.ID, logDir),
		"GRIGRI_ADDRESS=" + m.Address,
		"GRIGRI_AGENT_ARCHIVE=" + p.Archive,
		"GRIGRI_SUPERVISED=1",
	}
}

// marker, with its machine's directory, is in the environment of every process of a machine that has not made
// itself a new one; hooks, which have, carry the charm's directory instead.
const (
	marker      = "GRIGRI_MACHINE_DIR="
	charmMarker = "CHARM_DIR="
)

// record is what the machine's reaper has written of itself; the zero value when there is none yet.
func (p *Provider) record(id string) reaper.Record {
	r, _ := reaper.ReadRecord(p.dir(id, lockFile))
	return r
}

// held says whether the machine's reaper lives.
func (p *Provider) held(id string) bool { return reaper.Held(p.dir(id, lockFile)) }

// lock takes the lock of the whole directory, which keeps machines from being made and started twice. It is never held for long.
func (p *Provider) lock(ctx context.Context) (unlock func(), err error) {
	for {
		f, err := reaper.Lock(filepath.Join(p.Dir, ".lock"))
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != reaper.ErrHeld {
			return nil, fmt.Errorf("lock %s: %w", p.Dir, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w", p.Dir, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
