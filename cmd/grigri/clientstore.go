package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"gopkg.in/yaml.v3"

	"github.com/grigri/grigri/internal/userfile"
)

// A clientStore is the user's own files: the controllers, models and accounts known here. The files and their
// shapes are juju's. Many processes use it at once: all access is under one file lock, and files are replaced whole.
type clientStore struct{ dir string }

// The files' contents.
type (
	controllersFile struct {
		Controllers map[string]*controllerEntry `yaml:"controllers"`
		Current     string                      `yaml:"current-controller,omitempty"`
		Previous    string                      `yaml:"previous-controller,omitempty"`
	}
	controllerEntry struct {
		UUID         string   `yaml:"uuid"`
		Endpoints    []string `yaml:"api-endpoints,flow"`
		CA           string   `yaml:"ca-cert"`
		Cloud        string   `yaml:"cloud"`
		Region       string   `yaml:"region,omitempty"`
		Type         string   `yaml:"type,omitempty"`
		AgentVersion string   `yaml:"agent-version,omitempty"`
		Machines     int      `yaml:"controller-machine-count"`
	}
	modelsFile struct {
		Controllers map[string]*modelsEntry `yaml:"controllers"`
	}
	modelsEntry struct {
		Models   map[string]modelEntry `yaml:"models"`
		Current  string                `yaml:"current-model,omitempty"`
		Previous string                `yaml:"previous-model,omitempty"`
	}
	modelEntry struct {
		UUID string `yaml:"uuid"`
		Type string `yaml:"type"`
	}
	accountsFile struct {
		Controllers map[string]account `yaml:"controllers"`
	}
	account struct {
		User     string `yaml:"user"`
		Password string `yaml:"password,omitempty"`
		Access   string `yaml:"last-known-access,omitempty"`
	}
	bootstrapFile struct {
		Controllers map[string]bootstrapEntry `yaml:"controllers"`
	}
	bootstrapEntry struct {
		Cloud   string `yaml:"cloud"`
		Type    string `yaml:"type"`
		DataDir string `yaml:"data-dir,omitempty"` // of a controller on this host

		// Of a controller elsewhere:
		UUID       string      `yaml:"uuid,omitempty"`
		Region     string      `yaml:"region,omitempty"`
		Credential string      `yaml:"credential,omitempty"` // of this client
		Definition *cloudEntry `yaml:"definition,omitempty"` // of the cloud
		Target     string      `yaml:"target,omitempty"`     // of a host that no provider has made: user@host:port
	}
)

// A book is the whole store, read under the lock.
type book struct {
	controllers controllersFile
	models      modelsFile
	accounts    accountsFile
	bootstrap   bootstrapFile
	clouds      cloudsFile
	credentials credentialsFile
}

func (b *book) files() map[string]any {
	return map[string]any{"controllers.yaml": &b.controllers, "models.yaml": &b.models,
		"accounts.yaml": &b.accounts, "bootstrap-config.yaml": &b.bootstrap, "clouds.yaml": &b.clouds, "credentials.yaml": &b.credentials}
}

// openStore finds the store's directory: GRIGRI_DATA, for the name juju JUJU_DATA, or below XDG_DATA_HOME.
func (c *cli) openStore() (clientStore, error) {
	if dir := os.Getenv("GRIGRI_DATA"); dir != "" {
		return clientStore{dir}, nil
	}
	if dir := os.Getenv("JUJU_DATA"); dir != "" && c.name == "juju" {
		return clientStore{dir}, nil
	}
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return clientStore{}, fmt.Errorf("find the client's files: %w; set GRIGRI_DATA", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return clientStore{filepath.Join(base, c.name)}, nil
}

// read returns the store's content.
func (s clientStore) read() (book, error) {
	var b book
	err := s.locked(syscall.LOCK_SH, func() error { return s.load(&b) })
	return b, err
}

// update changes the store's content by fn, and nothing if fn fails.
func (s clientStore) update(fn func(*book) error) error {
	return s.locked(syscall.LOCK_EX, func() error {
		var b book
		if err := s.load(&b); err != nil {
			return err
		}
		if err := fn(&b); err != nil {
			return err
		}
		for name, content := range b.files() {
			if err := s.write(name, content); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s clientStore) load(b *book) error {
	for name, content := range b.files() {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the client's files: %w", err)
		}
		if err := userfile.YAML(filepath.Join(s.dir, name), data, content); err != nil {
			return fmt.Errorf("read %w; mend it or remove it", err)
		}
	}
	if b.controllers.Controllers == nil {
		b.controllers.Controllers = map[string]*controllerEntry{}
	}
	if b.models.Controllers == nil {
		b.models.Controllers = map[string]*modelsEntry{}
	}
	if b.accounts.Controllers == nil {
		b.accounts.Controllers = map[string]account{}
	}
	if b.clouds.Clouds == nil {
		b.clouds.Clouds = map[string]*cloudEntry{}
	}
	if b.credentials.Credentials == nil {
		b.credentials.Credentials = map[string]*cloudCredentials{}
	}
	if b.bootstrap.Controllers == nil {
		b.bootstrap.Controllers = map[string]bootstrapEntry{}
	}
	return nil
}

func (s clientStore) write(name string, content any) error {
	data, err := yaml.Marshal(content)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	path := filepath.Join(s.dir, name)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return nil
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("write the client's files: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write the client's files: %w", err)
	}
	return nil
}

// locked calls fn under the lock. Where nothing can be written, nobody does, and one may read without.
func (s clientStore) locked(how int, fn func() error) error {
	err := os.MkdirAll(s.dir, 0o700)
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(filepath.Join(s.dir, "client.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	}
	if errors.Is(err, syscall.EROFS) && how == syscall.LOCK_SH {
		return fn()
	}
	if err != nil {
		return fmt.Errorf("keep the client's files: %w; GRIGRI_DATA names another directory for them", err)
	}
	defer f.Close()
	for {
		if err = syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock the client's files: %w", err)
	}
	return fn()
}

// modelsOf is the models of a controller; it is there after the call.
func (b *book) modelsOf(controller string) *modelsEntry {
	e := b.models.Controllers[controller]
	if e == nil {
		e = &modelsEntry{}
		b.models.Controllers[controller] = e
	}
	if e.Models == nil {
		e.Models = map[string]modelEntry{}
	}
	return e
}

// forget removes all that is known of a controller.
func (b *book) forget(controller string) {
	delete(b.controllers.Controllers, controller)
	delete(b.models.Controllers, controller)
	delete(b.accounts.Controllers, controller)
	delete(b.bootstrap.Controllers, controller)
	if b.controllers.Current == controller {
		b.controllers.Current = ""
	}
	if b.controllers.Previous == controller {
		b.controllers.Previous = ""
	}
}

// env is the value of GRIGRI_NAME, or of JUJU_NAME when the program is called juju.
func (c *cli) env(name string) string {
	if v := os.Getenv("GRIGRI_" + name); v != "" || c.name != "juju" {
		return v
	}
	return os.Getenv("JUJU_" + name)
}

// expandAlias puts the words of an alias of the aliases file in its place.
func (c *cli) expandAlias(args []string) []string {
	s, err := c.openStore()
	if err != nil || len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return args
	}
	for _, a := range args {
		if a == "--no-alias" {
			return args
		}
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "aliases"))
	if err != nil {
		return args
	}
	for line := range strings.Lines(string(data)) {
		name, words, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(name) == args[0] && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			return append(strings.Fields(words), args[1:]...)
		}
	}
	return args
}
