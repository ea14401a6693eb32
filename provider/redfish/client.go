package redfish

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grigri/grigri/provider"
)

// A client speaks Redfish to management controllers.
type client struct {
	http               *http.Client
	username, password string // the password is a secret
}

func newClient(username, password string, authorities []string) (client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if len(authorities) > 0 {
		pool := x509.NewCertPool()
		for _, pem := range authorities {
			if !pool.AppendCertsFromPEM([]byte(pem)) {
				return client{}, errors.New("its ca-certificates are not readable")
			}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return client{&http.Client{Transport: transport, Timeout: time.Minute}, username, password}, nil
}

// A resource is a ComputerSystem, as far as we look at it.
type resource struct {
	PowerState       string `json:"PowerState"` // On, Off, PoweringOn, PoweringOff
	ProcessorSummary struct {
		Count int `json:"Count"`
	} `json:"ProcessorSummary"`
	MemorySummary struct {
		GiB float64 `json:"TotalSystemMemoryGiB"`
	} `json:"MemorySummary"`
	Actions struct {
		Reset struct {
			Target string   `json:"target"`
			Types  []string `json:"ResetType@Redfish.AllowableValues"`
		} `json:"#ComputerSystem.Reset"`
	} `json:"Actions"`
}

// has says whether the system is large enough. What it does not tell it has not.
func (r resource) has(c provider.Constraints) bool {
	return (c.Cores == nil || *c.Cores <= r.ProcessorSummary.Count) && (c.MemoryMiB == nil || float64(*c.MemoryMiB) <= r.MemorySummary.GiB*1024)
}

func (c client) get(ctx context.Context, system string) (r resource, err error) {
	return r, c.do(ctx, http.MethodGet, system, nil, &r)
}

// bootFromNetwork has the next start, and only that, boot from the network.
func (c client) bootFromNetwork(ctx context.Context, system string) error {
	return c.do(ctx, http.MethodPatch, system, map[string]any{"Boot": map[string]string{"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}}, nil)
}

// reset switches a system, if it is not as it is to be already.
func (c client) reset(ctx context.Context, system, kind string) error {
	r, err := c.get(ctx, system)
	if err != nil {
		return err
	}
	if kind == "On" && r.PowerState == "On" {
		return nil
	}
	if types := r.Actions.Reset.Types; len(types) > 0 && !slices.Contains(types, kind) {
		return fmt.Errorf("it cannot be reset by %s, only by %s: %w", kind, strings.Join(types, ", "), provider.ErrRefused)
	}
	base, err := url.Parse(system)
	if err != nil {
		return err
	}
	target, err := base.Parse(r.Actions.Reset.Target)
	if err != nil || r.Actions.Reset.Target == "" {
		return fmt.Errorf("it has no reset action: %w", provider.ErrRefused)
	}
	return c.do(ctx, http.MethodPost, target.String(), map[string]string{"ResetType": kind}, nil)
}

func (c client) do(ctx context.Context, method, url string, body, out any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.username != "" {
		req.SetBasicAuth(c.username, c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w", err, provider.ErrTransient)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w: %w", method, url, err, provider.ErrTransient)
	}
	switch {
	case resp.StatusCode < 300 && out != nil:
		if err := json.Unmarshal(text, out); err != nil {
			return fmt.Errorf("%s %s: what answers is no management controller: %w: %w", method, url, err, provider.ErrTransient)
		}
		return nil
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s %s: %s: the credential is not taken: %w", method, url, resp.Status, provider.ErrRefused)
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s %s: %s: there is no such system: %w", method, url, resp.Status, provider.ErrRefused)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%s %s: %s: %w", method, url, resp.Status, provider.ErrTransient)
	}
	return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, strings.TrimSpace(string(text[:min(len(text), 300)])))
}
