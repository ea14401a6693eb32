// Package plugin is a provider that is a program of its own: how a controller runs one, and how one is written. The program is found by
// name in a directory, is the one whose hash was pinned, speaks gRPC over mutual TLS with certificates made for this run, and is started again when it ends.
package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/wire"
)

// Prefix begins the name of every plugin: grigri-provider-redfish serves clouds of type redfish.
const Prefix = "grigri-provider-"

// Version is of the protocol. A plugin that serves another one is refused.
const Version = 1

// handshake tells a plugin that it was not started by a user.
func handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{ProtocolVersion: Version, MagicCookieKey: "GRIGRI_PROVIDER", MagicCookieValue: "started by grigri"}
}

// File is the program of a type of cloud in the directory of plugins.
func File(dir, cloudType string) string { return filepath.Join(dir, Prefix+cloudType) }

// Hash is the SHA-256 of a plugin's program, hex: what is pinned.
func Hash(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("find the plugin: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read the plugin: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Config is what Open needs.
type Config struct {
	File string // the program
	Spec provider.Spec
	Log  *slog.Logger

	Environment []string // of the program, besides our own: for tests
}

// Open starts the plugin, whose hash must be Spec.Cloud.PluginHash, and opens the provider in it. What it returns must be closed: it is an io.Closer.
// It is a provider.Hoster, a provider.Volumer and a provider.Sheller if the provider in the plugin is. The other abilities it always has, and does nothing where the plugin has none.
func Open(c Config) (provider.Provider, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	name := Prefix + c.Spec.Cloud.Type // the file may be named otherwise
	if c.Spec.Cloud.PluginHash == "" {
		return nil, fmt.Errorf("open plugin %s: cloud %q has no hash of it: say with plugin-hash which program you trust", name, c.Spec.Cloud.Name)
	}
	r := &remote{Config: c, name: name, can: map[string]bool{}}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if _, err := r.running(ctx); err != nil {
		return nil, err
	}
	return r.withAbilities(), nil
}

// How long a plugin may take to start, and how long to wait until one that has ended is started again: longer each time, until it has lived a while.
const (
	startPatience = 30 * time.Second
	firstPause    = time.Second
	longestPause  = time.Minute
	lived         = time.Minute
)

// A remote is a provider in a plugin's process, whichever runs at the time.
type remote struct {
	Config
	name string
	can  map[string]bool // abilities; not written after Open

	mu      sync.Mutex
	client  *goplugin.Client // nil: none runs
	rpc     wire.ProviderClient
	began   time.Time
	pause   time.Duration
	notFrom time.Time // not before this
	closed  bool
}

var errClosed = errors.New("the provider was closed")

// running is the connection to the plugin, which is started if it does not run.
func (r *remote) running(ctx context.Context) (wire.ProviderClient, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, errClosed
	case r.client != nil && !r.client.Exited():
		return r.rpc, nil
	}
	now := time.Now()
	if r.client != nil {
		r.Log.Error("a plugin has ended and will be started again", "plugin", r.name, "after", now.Sub(r.began))
		r.end()
		if now.Sub(r.began) > lived {
			r.pause = 0
		}
		r.notFrom = r.began.Add(r.pause)
	}
	if now.Before(r.notFrom) {
		return nil, fmt.Errorf("plugin %s has ended, and is started again in %s: %w", r.name, r.notFrom.Sub(now).Round(time.Second/10), provider.ErrTransient)
	}
	r.pause = min(max(2*r.pause, firstPause), longestPause)
	r.notFrom = now.Add(r.pause)
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	r.began = now
	return r.rpc, nil
}

func (r *remote) start(ctx context.Context) error {
	hash, err := hex.DecodeString(strings.ToLower(r.Spec.Cloud.PluginHash))
	if err != nil || len(hash) != sha256.Size {
		return fmt.Errorf("start plugin %s: %q is no SHA-256: %w", r.name, r.Spec.Cloud.PluginHash, provider.ErrRefused)
	}
	cmd := exec.Command(r.File)
	cmd.Env = r.Environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive us
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: handshake(), Plugins: goplugin.PluginSet{pluginName: &dialer{}},
		Cmd: cmd, SecureConfig: &goplugin.SecureConfig{Checksum: hash, Hash: sha256.New()}, AutoMTLS: true,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC}, StartTimeout: startPatience,
		Logger: hclog.NewNullLogger(), Stderr: &logLines{log: r.Log, name: r.name}, SyncStdout: io.Discard, SyncStderr: io.Discard,
	})
	fail := func(err error) error {
		client.Kill()
		if errors.Is(err, goplugin.ErrChecksumsDoNotMatch) {
			have, _ := Hash(r.File)
			return fmt.Errorf("start plugin %s: its SHA-256 is %s, and cloud %q trusts %s: put the trusted program there, or trust this one with update-cloud: %w",
				r.name, have, r.Spec.Cloud.Name, r.Spec.Cloud.PluginHash, provider.ErrRefused)
		}
		return fmt.Errorf("start plugin %s: %w", r.name, err)
	}
	conn, err := client.Client()
	if err != nil {
		return fail(err)
	}
	raw, err := conn.Dispense(pluginName)
	if err != nil {
		return fail(err)
	}
	rpc, ok := raw.(wire.ProviderClient)
	if !ok {
		return fail(errors.New("it serves no provider"))
	}
	spec, err := encode(r.Spec)
	if err != nil {
		return fail(err)
	}
	opened, err := rpc.Open(ctx, &wire.OpenRequest{Spec: spec})
	if err != nil {
		return fail(fromWire(ctx, err))
	}
	if len(r.can) == 0 {
		for _, a := range opened.Abilities {
			r.can[a] = true
		}
		r.can[openAbility] = true
	}
	r.client, r.rpc = client, rpc
	r.Log.Info("a plugin has been started", "plugin", r.name, "pid", client.ID())
	return nil
}

// end ends what runs. The caller has the lock.
func (r *remote) end() {
	if r.client != nil {
		r.client.Kill()
	}
	r.client, r.rpc = nil, nil
}

// Close ends the plugin's process.
func (r *remote) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.end()
	return nil
}

// logLines logs what a plugin says, a line at a time.
type logLines struct {
	log  *slog.Logger
	name string
	mu   sync.Mutex
	rest string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest += string(p)
	for {
		line, rest, ok := strings.Cut(l.rest, "\n")
		if !ok {
			return len(p), nil
		}
		l.rest = rest
		if strings.TrimSpace(line) != "" {
			l.log.Log(context.Background(), levelOf(line), "a plugin says", "plugin", l.name, "line", line)
		}
	}
}

// levelOf is Info, but for what go-plugin itself says in a plugin's process of its own beginnings.
func levelOf(line string) slog.Level {
	if strings.HasPrefix(line, `{"@level":"debug"`) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
