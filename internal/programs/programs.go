// Package programs keeps the programs of a service, an agent or a controller, on the machine where it runs: it has another version ready by
// the hash of its archive, puts it in place, and takes it back when it does not come up. Of the machine agent the init script has
// installed the first version in the same places:
//
//	tools/HASH/        the programs of one archive
//	tools/machine-4    a link to the one that is in place
package programs

import (
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

	"github.com/grigri/grigri/internal/initscript"
	"github.com/grigri/grigri/internal/pki"
)

// A Dir is where the programs of one service are.
type Dir struct {
	Path string // of the directory
	Link string // the name in it of the link to the programs that are in place
	Note string // the file of what is remembered of a replacement
	Main string // the program that serves. It has a command "version"

	Aliases []string // further names of it
}

// Agent is where the programs of a machine's agent are: tag is "machine-4", data its data directory, own its own directory there.
func Agent(data, tag, own string) Dir {
	return Dir{Path: filepath.Join(data, "tools"), Link: tag, Note: filepath.Join(own, "upgrade.json"), Main: initscript.Agent, Aliases: initscript.Aliases()}
}

// Controller is where the programs are of a controller that has its files in data. Before its first upgrade there are none.
func Controller(data string) Dir {
	dir := filepath.Join(data, "programs")
	return Dir{Path: dir, Link: "current", Note: filepath.Join(dir, "upgrade.json"), Main: "grigrid"}
}

// ErrReplaced says that other programs are in place: the service must end, and whoever keeps it running starts those.
var ErrReplaced = errors.New("the programs have been replaced: begin again with them")

// tries is how often programs may start without coming up.
const tries = 3

// A note is what is remembered of a replacement.
type note struct {
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`      // empty: none is under way
	Tries   int    `json:"tries,omitempty"`   // of To
	Refused string `json:"refused,omitempty"` // did not come up
	Why     string `json:"why,omitempty"`     // it was refused
}

func (d Dir) path(name string) string { return filepath.Join(d.Path, name) }

var hashName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Current is the hash of what is in place. It is empty when that was not put there by its hash.
func (d Dir) Current() string {
	target, err := os.Readlink(d.path(d.Link))
	if name := filepath.Base(target); err == nil && hashName.MatchString(name) {
		return name
	}
	return ""
}

// Program is the path of the program that serves, of what is in place.
func (d Dir) Program() string { return filepath.Join(d.path(d.Link), d.Main) }

// Sound is the path of the program that serves, of programs that have come up once: those before what is in place, until that has.
// It is empty when there are none.
func (d Dir) Sound() string {
	n, err := d.read()
	switch now := d.Current(); {
	case err != nil || now == "":
		return ""
	case n.To == now:
		return d.Of(n.From)
	default:
		return d.Program()
	}
}

// Of is the path of the program that serves, of the programs that were fetched by this hash.
func (d Dir) Of(hash string) string { return filepath.Join(d.path(hash), d.Main) }

// Refused is the hash of programs that did not come up, and why they were refused. They are not to be tried again by themselves.
func (d Dir) Refused() (hash, why string) {
	n, _ := d.read()
	return n.Refused, n.Why
}

// Fetch has the programs of an archive ready beside those that are in place, and sees that they can run here at all.
// One service fetches one after another.
func (d Dir) Fetch(ctx context.Context, hash string, open func(context.Context, string) (io.ReadCloser, error)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("fetch %s %.12s: %w", d.Main, hash, err)
		}
	}()
	if !hashName.MatchString(hash) {
		return fmt.Errorf("%q is not the SHA-256 of an archive", hash)
	}
	if d.Has(hash) {
		return nil
	}
	if err := d.sweep(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(d.Path, unfinished)
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
	if err := Unpack(dir, io.TeeReader(r, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != hash {
		return fmt.Errorf("what came has the hash %.12s", got)
	}
	for _, name := range d.Aliases {
		if err := os.Symlink(d.Main, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, filepath.Join(dir, d.Main), "version").CombinedOutput(); err != nil {
		return fmt.Errorf("it does not run on this machine: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return d.finish(dir, hash)
}

// Adopt makes the programs that fill writes into a directory those that are in place, under this hash, if none are.
func (d Dir) Adopt(hash string, fill func(dir string) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep the %s that runs: %w", d.Main, err)
		}
	}()
	if d.Current() != "" {
		return nil
	}
	if !d.Has(hash) {
		if err := d.sweep(); err != nil {
			return err
		}
		dir, err := os.MkdirTemp(d.Path, unfinished)
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := fill(dir); err != nil {
			return err
		}
		if err := d.finish(dir, hash); err != nil {
			return err
		}
	}
	return d.point(hash)
}

// finish gives the directory its name.
func (d Dir) finish(dir, hash string) error {
	if !hashName.MatchString(hash) {
		return fmt.Errorf("%q is no SHA-256", hash)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return os.Rename(dir, d.path(hash))
}

// Has says whether the programs of this hash are there, whole.
func (d Dir) Has(hash string) bool {
	_, err := os.Stat(d.path(hash))
	return err == nil && hashName.MatchString(hash)
}

const unfinished = ".new-"

// sweep makes the directory if it is missing, and removes what a fetch has left that was killed.
func (d Dir) sweep() error {
	if err := os.MkdirAll(d.Path, 0o755); err != nil {
		return err
	}
	left, err := filepath.Glob(d.path(unfinished + "*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// Replace puts the programs in place. Nobody may use those that are there. The caller then ends with ErrReplaced.
func (d Dir) Replace(to string) error {
	from := d.Current()
	if from == "" {
		return fmt.Errorf("%s was not put there by its hash and is left alone", d.path(d.Link))
	}
	n, err := d.read()
	if err == nil {
		n.From, n.To, n.Tries = from, to, 0
		err = d.write(n)
	}
	if err == nil {
		err = d.point(to)
	}
	if err != nil {
		return fmt.Errorf("put %s %.12s in place: %w", d.Main, to, err)
	}
	return nil
}

// Starting is called first when the service starts. When programs that were put in place have started often and never come up, those
// before them are put back, and the error is ErrReplaced.
func (d Dir) Starting() error {
	n, err := d.read()
	if err != nil || n.To == "" || n.To != d.Current() {
		return err
	}
	if n.Tries++; n.Tries <= tries {
		return d.write(n)
	}
	return d.GiveUp(fmt.Sprintf("it was started %d times and has never come up", tries))
}

// GiveUp puts those back that were there before what is in place, which has not come up yet, and returns ErrReplaced. When that has come up, it does nothing.
func (d Dir) GiveUp(why string) error {
	n, err := d.read()
	if err != nil || n.To == "" || n.To != d.Current() {
		return err
	}
	if err := d.point(n.From); err != nil {
		return fmt.Errorf("put %s %.12s back in place: %w", d.Main, n.From, err)
	}
	if err := d.Refuse(n.To, why); err != nil {
		return err
	}
	return ErrReplaced
}

// Trying says whether what is in place has yet to come up.
func (d Dir) Trying() bool {
	n, err := d.read()
	return err == nil && n.To != "" && n.To == d.Current()
}

// Refuse notes that programs do not come up.
func (d Dir) Refuse(hash, why string) error { return d.write(note{Refused: hash, Why: why}) }

// Settled is called when the service has come up and does its work: the programs before it are not needed any more.
func (d Dir) Settled() error {
	n, err := d.read()
	if err != nil || n.To == "" || n.To != d.Current() {
		return err
	}
	if err := os.Remove(d.Note); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, old := range []string{n.From, n.Refused} {
		if old != n.To && hashName.MatchString(old) {
			err = errors.Join(err, os.RemoveAll(d.path(old)))
		}
	}
	return err
}

// point makes the link lead to the programs, at once.
func (d Dir) point(hash string) error {
	if _, err := os.Stat(d.Of(hash)); err != nil {
		return err
	}
	fresh := d.path(d.Link) + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(hash, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, d.path(d.Link))
}

func (d Dir) read() (n note, err error) {
	data, err := os.ReadFile(d.Note)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err != nil {
		return n, fmt.Errorf("read what is known of the replacement of %s: %w", d.Main, err)
	}
	return n, nil
}

func (d Dir) write(n note) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return pki.WriteFile(d.Note, data)
}
