// Package enroll gives a machine its identity: it trades a one-time token for a certificate, keeps both with all that
// the agent needs to begin, and asks for a new certificate before the old one ends.
package enroll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

// A Conf is who an agent is and where it finds the controllers. It is kept in a file that only its owner can read.
type Conf struct {
	Model       state.ModelID   `json:"model"`
	Machine     state.MachineID `json:"machine"`
	Key         string          `json:"key"`         // PEM: made on this machine, and never leaves it
	Certificate string          `json:"certificate"` // PEM
	CA          string          `json:"ca"`          // PEM
	Request     []byte          `json:"request"`     // for the next certificate: of the same key
	Token       string          `json:"token"`       // goes with it
	Chroot      string          `json:"chroot"`      // of the tree in ZooKeeper
	Addresses   state.Addresses `json:"addresses"`   // as last heard
}

// ErrRefused is wrapped when a controller has looked at the token and will not take it.
var ErrRefused = errors.New("enrolment refused")

// The files in a machine's directory.
const (
	confFile = "agent.conf"
	keyFile  = "enrolment.key"
)

// Dir is the machine's own directory below the data directory.
func Dir(data string, id state.MachineID) string { return filepath.Join(data, "agents", id.Tag()) }

// Load reads what Enroll has written for the one machine below the data directory.
// It wraps fs.ErrNotExist when there is none.
func Load(data string) (Conf, error) {
	names, err := filepath.Glob(filepath.Join(data, "agents", "machine-*", confFile))
	if err != nil {
		return Conf{}, fmt.Errorf("find the machine below %s: %w", data, err)
	}
	switch len(names) {
	case 0:
		return Conf{}, fmt.Errorf("no machine is enrolled below %s: %w", data, fs.ErrNotExist)
	case 1:
		return read(names[0])
	}
	return Conf{}, fmt.Errorf("several machines are enrolled below %s: %v; one data directory is for one machine", data, names)
}

func read(name string) (Conf, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Conf{}, err
	}
	var c Conf
	if err := json.Unmarshal(data, &c); err != nil {
		return Conf{}, fmt.Errorf("read %s: %w", name, err)
	}
	return c, nil
}

// Save keeps the Conf below the data directory.
func (c Conf) Save(data string) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(Dir(data, c.Machine), confFile), text)
}

// Identity is the machine's identity.
func (c Conf) Identity() pki.Identity {
	return pki.Identity{Key: []byte(c.Key), Certificate: []byte(c.Certificate), Authority: []byte(c.CA)}
}

// RenewAt is when to Renew.
func (c Conf) RenewAt() (time.Time, error) {
	leaf, err := c.Identity().Leaf()
	if err != nil {
		return time.Time{}, fmt.Errorf("read the certificate of machine %s: %w", c.Machine, err)
	}
	return pki.RenewAt(leaf), nil
}

// A Token is what the machine was given to prove itself with, once.
type Token struct {
	Model     state.ModelID
	Machine   state.MachineID
	Token     string
	CA        string   // PEM: the only authority that is believed
	Addresses []string // host:port of controllers
}

// Enroll makes a key, trades the token for its certificate, and keeps the Conf below the data directory. After a crash at any
// point it may be called again: the key stays the same, so that the controllers know who asks.
func Enroll(ctx context.Context, data string, t Token) (Conf, error) {
	c, err := enroll(ctx, data, t)
	if err != nil {
		return Conf{}, fmt.Errorf("enrol machine %s of model %s: %w", t.Machine, t.Model, err)
	}
	return c, nil
}

func enroll(ctx context.Context, data string, t Token) (Conf, error) {
	dir := Dir(data, t.Machine)
	if have, err := read(filepath.Join(dir, confFile)); err == nil && have.Model == t.Model {
		return have, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Conf{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Conf{}, err
	}
	key, err := ownKey(filepath.Join(dir, keyFile))
	if err != nil {
		return Conf{}, err
	}
	c := Conf{Model: t.Model, Machine: t.Machine, Key: key.Key, Request: key.Request, Token: t.Token, CA: t.CA,
		Addresses: state.Addresses{API: t.Addresses}}
	if c, err = c.Renew(ctx); err != nil {
		return Conf{}, err
	}
	if err := c.Save(data); err != nil {
		return Conf{}, err
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Conf{}, err
	}
	return c, nil
}

// A madeKey is a private key before it has a certificate.
type madeKey struct {
	Key     string `json:"key"`
	Request []byte `json:"request"`
}

// ownKey is the key in the file, or a new one that is there from now on.
func ownKey(name string) (madeKey, error) {
	data, err := os.ReadFile(name)
	if err == nil {
		var k madeKey
		if err := json.Unmarshal(data, &k); err != nil {
			return k, fmt.Errorf("read %s: %w", name, err)
		}
		return k, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return madeKey{}, err
	}
	key, request, err := pki.NewRequest()
	if err != nil {
		return madeKey{}, err
	}
	k := madeKey{string(key), request}
	data, err = json.Marshal(k)
	if err != nil {
		return k, err
	}
	return k, pki.WriteFile(name, data)
}

// Renew asks for a certificate of the same key, and returns the Conf with it and with where the controllers are now.
func (c Conf) Renew(ctx context.Context) (Conf, error) {
	conn, err := Anonymous(c.CA)
	if err != nil {
		return c, err
	}
	body := agentapi.Enrol{Model: c.Model, Machine: c.Machine, Token: c.Token, Request: c.Request}
	var got agentapi.Enrolled
	err = conn.JSON(ctx, c.Addresses.API, agentapi.EnrolRoute, nil, body, &got)
	var status *StatusError
	if errors.As(err, &status) && (status.Code == 401 || status.Code == 403) {
		return c, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return c, err
	}
	c.Certificate, c.Chroot, c.Addresses = got.Certificate, got.Chroot, got.Addresses
	if _, err := pki.ParseIdentity(c.Identity().Encode()); err != nil {
		return c, fmt.Errorf("the certificate that came: %w", err)
	}
	return c, nil
}
