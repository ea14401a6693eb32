// Package install keeps the programs of a machine's agent: it fetches another version by its hash, puts it in place between two hooks,
// and takes it back when it does not come up. The init script has installed the first version in the same places:
//
//	tools/HASH/        the programs of one archive
//	tools/machine-4    a link to the one that is in place
package install

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

// Programs is the agent's programs of one machine.
type Programs struct {
	Data    string // the machine's data directory
	Machine state.MachineID
}

// ErrReplaced says that other programs are in place: the agent must end, and whoever keeps it running starts those.
var ErrReplaced = errors.New("the agent's programs have been replaced: begin again with them")

// tries is how often programs may start without coming up.
const tries = 3

// A note is what is remembered of a replacement, in the machine's directory.
type note struct {
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`      // empty: none is under way
	Tries   int    `json:"tries,omitempty"`   // of To
	Refused string `json:"refused,omitempty"` // did not come up, and is not tried again
}

func (p Programs) tools(name string) string { return filepath.Join(p.Data, "tools", name) }
func (p Programs) link() string             { return p.tools(p.Machine.Tag()) }
func (p Programs) noteFile() string {
	return filepath.Join(enroll.Dir(p.Data, p.Machine), "upgrade.json")
}

var hashName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Current is the hash of what is in place. It is empty when that was not put there by its hash.
func (p Programs) Current() string {
	target, err := os.Readlink(p.link())
	if name := filepath.Base(target); err == nil && hashName.MatchString(name) {
		return name
	}
	return ""
}

// Refused is the hash of programs that were in place and did not come up. They are not to be tried again.
func (p Programs) Refused() string {
	n, _ := p.read()
	return n.Refused
}

// Fetch has the programs of an archive ready beside those that are in place, and sees that they can run here at all.
func (p Programs) Fetch(ctx context.Context, hash string, open func(context.Context, string) (io.ReadCloser, error)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("fetch the agent %.12s: %w", hash, err)
		}
	}()
	if !hashName.MatchString(hash) {
		return fmt.Errorf("%q is not the SHA-256 of an archive", hash)
	}
	if _, err := os.Stat(p.tools(hash)); err == nil {
		return nil
	}
	dir, err := os.MkdirTemp(p.tools(""), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := open(ctx, hash)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	if err := unpack(dir, io.TeeReader(r, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != hash {
		return fmt.Errorf("what came has the hash %.12s", got)
	}
	if err := os.Symlink(initscript.Agent, filepath.Join(dir, "jujud")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, filepath.Join(dir, initscript.Agent), "version").CombinedOutput(); err != nil {
		return fmt.Errorf("it does not run on this machine: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return os.Rename(dir, p.tools(hash))
}

// unpack writes the files of the archive, which are executables in one directory, and reads it to its end.
func unpack(dir string, r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || h.Name != filepath.Base(h.Name) || strings.HasPrefix(h.Name, ".") {
			return fmt.Errorf("the archive has %q, which is no program", h.Name)
		}
		f, err := os.OpenFile(filepath.Join(dir, h.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, t)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if _, err = io.Copy(io.Discard, z); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// Replace puts the programs in place. Nobody may use those that are there: no hook runs. The caller then ends with ErrReplaced.
func (p Programs) Replace(to string) error {
	from := p.Current()
	if from == "" {
		return fmt.Errorf("%s was not put there by its hash and is left alone", p.link())
	}
	n, err := p.read()
	if err == nil {
		n.From, n.To, n.Tries = from, to, 0
		err = p.write(n)
	}
	if err == nil {
		err = p.point(to)
	}
	if err != nil {
		return fmt.Errorf("put the agent %.12s in place: %w", to, err)
	}
	return nil
}

// Starting is called first by the agent. When programs that were put in place have started often and never come up, those
// before them are put back, and the error is ErrReplaced.
func (p Programs) Starting() error {
	n, err := p.read()
	if err != nil || n.To == "" || n.To != p.Current() {
		return err
	}
	if n.Tries++; n.Tries <= tries {
		return p.write(n)
	}
	if err := p.point(n.From); err != nil {
		return fmt.Errorf("put the agent %.12s back in place: %w", n.From, err)
	}
	if err := p.write(note{Refused: n.To}); err != nil {
		return err
	}
	return ErrReplaced
}

// Settled is called when the agent has come up and does its work: the programs before it are not needed any more.
func (p Programs) Settled() error {
	n, err := p.read()
	if err != nil || n.To == "" || n.To != p.Current() {
		return err
	}
	if err := os.Remove(p.noteFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if n.From == n.To {
		return nil
	}
	return os.RemoveAll(p.tools(n.From))
}

// point makes the link lead to the programs, at once.
func (p Programs) point(hash string) error {
	if _, err := os.Stat(filepath.Join(p.tools(hash), initscript.Agent)); err != nil {
		return err
	}
	fresh := p.link() + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(hash, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, p.link())
}

func (p Programs) read() (n note, err error) {
	data, err := os.ReadFile(p.noteFile())
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err != nil {
		return n, fmt.Errorf("read what is known of the agent's replacement: %w", err)
	}
	return n, nil
}

func (p Programs) write(n note) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return pki.WriteFile(p.noteFile(), data)
}
