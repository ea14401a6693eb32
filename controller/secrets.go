// Package controller is the daemon: it serves the API, stands for election, and leads while it is elected.
package controller

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

// Secrets is what all trust and all credentials come from. Every controller has the same.
type Secrets struct {
	Authority pki.Authority
	Key       state.Key
}

// The files of the secrets.
const (
	authorityFile = "authority.pem" // certificate and key
	caFile        = "ca.pem"        // the certificate alone: no secret
	keyFile       = "key"
)

// NewSecrets makes the secrets of a new installation.
func NewSecrets(name string, now time.Time) (Secrets, error) {
	authority, err := pki.NewAuthority("grigri "+name, now)
	if err != nil {
		return Secrets{}, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return Secrets{authority, key}, nil
}

// Save writes the secrets into dir, for its owner alone.
func (s Secrets) Save(dir string) error {
	authority, err := s.Authority.Encode()
	if err != nil {
		return err
	}
	return errors.Join(
		pki.WriteFile(filepath.Join(dir, authorityFile), authority),
		pki.WriteFile(filepath.Join(dir, caFile), s.Authority.Certificate()),
		pki.WriteFile(filepath.Join(dir, keyFile), s.Key))
}

// LoadSecrets reads what Save has written.
func LoadSecrets(dir string) (Secrets, error) {
	data, err := os.ReadFile(filepath.Join(dir, authorityFile))
	if err != nil {
		return Secrets{}, fmt.Errorf("read the controllers' secrets: %w", err)
	}
	authority, err := pki.ParseAuthority(data)
	if err != nil {
		return Secrets{}, err
	}
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err == nil && len(key) < 32 {
		err = fmt.Errorf("%s is too short", filepath.Join(dir, keyFile))
	}
	if err != nil {
		return Secrets{}, fmt.Errorf("read the controllers' secrets: %w", err)
	}
	return Secrets{authority, key}, nil
}

// Identity is a controller's own, for as long as the process will live.
func (s Secrets) Identity(now time.Time, hosts ...string) (pki.Identity, error) {
	return s.Authority.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Both, Hosts: hosts, Now: now, Life: 5 * 365 * 24 * time.Hour})
}
