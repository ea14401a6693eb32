package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/pki"
)

// A Conn talks to the controllers over HTTPS. Nothing but their own authority is believed, and no proxy is asked.
type Conn struct{ client *http.Client }

// Anonymous is a Conn of one that is no one yet.
func Anonymous(ca string) (Conn, error) {
	pool, err := pki.Pool([]byte(ca))
	if err != nil {
		return Conn{}, err
	}
	return newConn(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}), nil
}

// Connect is a Conn of the machine.
func (c Conf) Connect() (Conn, error) {
	conf, err := c.Identity().ClientTLS("") // the name is that of each address
	if err != nil {
		return Conn{}, err
	}
	return newConn(conf), nil
}

func newConn(conf *tls.Config) Conn {
	return Conn{&http.Client{Transport: &http.Transport{
		TLSClientConfig:       conf,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		MaxIdleConnsPerHost:   1,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     false,
	}}}
}

// Close closes idle connections.
func (c Conn) Close() { c.client.CloseIdleConnections() }

// A StatusError is a controller's refusal.
type StatusError struct {
	Code    int // HTTP's
	Message string
}

func (e *StatusError) Error() string { return e.Message }

// Do sends a request of a route of agentapi to one controller after the other until one answers. Values replaces the parts
// of the route's path that are in braces. The caller closes the body. A refusal is a StatusError.
func (c Conn) Do(ctx context.Context, addresses []string, route string, values map[string]string, body []byte) (*http.Response, error) {
	method, path, _ := strings.Cut(route, " ")
	for k, v := range values {
		path = strings.ReplaceAll(path, "{"+k+"}", v)
	}
	errs := []error{}
	for _, a := range addresses {
		req, err := http.NewRequestWithContext(ctx, method, "https://"+a+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		resp, err := c.client.Do(req)
		if err == nil && resp.StatusCode < 300 {
			return resp, nil
		}
		if err == nil {
			if err = refusal(resp); resp.StatusCode < 500 {
				return nil, err
			}
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, errors.New("no controller's address is known")
	}
	return nil, errors.Join(errs...)
}

func refusal(resp *http.Response) error {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var failure struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(text, &failure) == nil && failure.Error.Message != "" {
		return &StatusError{resp.StatusCode, failure.Error.Message}
	}
	return &StatusError{resp.StatusCode, fmt.Sprintf("the controller answers %s", resp.Status)}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// JSON sends and receives JSON.
func (c Conn) JSON(ctx context.Context, addresses []string, route string, values map[string]string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	resp, err := c.Do(ctx, addresses, route, values, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the controller's answer: %w", err)
	}
	return nil
}
