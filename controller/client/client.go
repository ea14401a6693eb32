// Package client speaks to a controller's API: one method for each route of userapi.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/userapi"
)

// Config says which controller to speak to, and as whom.
type Config struct {
	Name      string   // as the user calls the controller: for errors
	Addresses []string // host:port of its controllers, tried in turn
	CA        string   // PEM: the only authority that is believed
	User      string
	Password  string
	Start     string // the command that starts the controller, where the user can type it: for errors
	// Patience is how long a controller that does not answer, or says that it cannot now, is asked again. Zero means 3 s.
	Patience time.Duration
}

// A Client speaks to one controller. It is safe for several goroutines.
type Client struct {
	config Config
	http   *http.Client
}

// New returns a client; it does not connect yet.
func New(c Config) (*Client, error) {
	if len(c.Addresses) == 0 {
		return nil, fmt.Errorf("controller %q has no address", c.Name)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.CA)) {
		return nil, fmt.Errorf("controller %q: its CA is not a PEM certificate", c.Name)
	}
	if c.Patience == 0 {
		c.Patience = 3 * time.Second
	}
	return &Client{config: c, http: &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: pool, ServerName: userapi.ServerName, MinVersion: tls.VersionTLS13},
		TLSHandshakeTimeout: 5 * time.Second,
		// Longer than any controller takes: one that waits for something answers within a minute.
		ResponseHeaderTimeout: 90 * time.Second,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
	}}}, nil
}

// Close ends the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A call is one request of one route.
type call struct {
	route string   // of userapi: "GET /v1/models/{model}"
	path  []string // what stands for the route's {names}, in their order
	query url.Values
	body  any                           // sent as JSON
	open  func() (io.ReadCloser, error) // or sent as it is
	size  int64                         // of what open opens
}

// do makes the call and decodes its answer into out, unless out is nil.
func (c *Client) do(ctx context.Context, k call, out any) error {
	resp, err := c.send(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return decode(resp.Body, out)
}

func decode(r io.Reader, out any) error {
	if out == nil {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	if err := json.NewDecoder(r).Decode(out); err != nil {
		return fmt.Errorf("read the controller's answer: %w", err)
	}
	return nil
}

// send makes the call, again while there is patience, and returns an answer that is a success.
// All tries are one request to the controller: it has the same name in each.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	id := rand.Text()
	deadline := time.Now().Add(c.config.Patience)
	for try := 0; ; try++ {
		address := c.config.Addresses[try%len(c.config.Addresses)]
		resp, err := c.once(ctx, k, address, id, try)
		if err == nil {
			return resp, nil
		}
		pause := min(50*time.Millisecond<<min(try, 5), time.Second)
		if !transient(err) || ctx.Err() != nil || time.Now().Add(pause).After(deadline) {
			return nil, c.explain(address, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, c.explain(address, err)
		}
	}
}

func (c *Client) once(ctx context.Context, k call, address, id string, try int) (*http.Response, error) {
	method, path, err := fill(k.route, k.path)
	if err != nil {
		return nil, err
	}
	target := "https://" + address + path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var body io.Reader
	switch {
	case k.open != nil:
		f, err := k.open()
		if err != nil {
			return nil, err
		}
		body = f
	case k.body != nil:
		data, err := json.Marshal(k.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if k.open != nil {
		req.ContentLength = k.size
	}
	req.SetBasicAuth(c.config.User, c.config.Password)
	if method != http.MethodGet {
		req.Header.Set(userapi.RequestHeader, id)
		if try > 0 {
			req.Header.Set(userapi.RetryHeader, strconv.Itoa(try))
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // the answer of a controller that has seen its client go says nothing
		resp.Body.Close()
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, failure(resp)
}

// fill is the method and the path of a route, with values for its {names}.
func fill(route string, values []string) (method, path string, err error) {
	method, pattern, _ := strings.Cut(route, " ")
	var out strings.Builder
	for _, part := range strings.Split(strings.TrimPrefix(pattern, "/"), "/") {
		out.WriteByte('/')
		if !strings.HasPrefix(part, "{") {
			out.WriteString(part)
			continue
		}
		if len(values) == 0 || values[0] == "" {
			return "", "", fmt.Errorf("%s: %s is empty", route, part)
		}
		out.WriteString(url.PathEscape(values[0]))
		values = values[1:]
	}
	return method, out.String(), nil
}

// failure is the error in an answer.
func failure(resp *http.Response) error {
	var f userapi.Failure
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && json.Unmarshal(data, &f) == nil && f.Error != nil {
		return f.Error
	}
	e := &userapi.Error{Code: userapi.Internal, Message: "the controller answers " + resp.Status}
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusBadGateway {
		e.Code = userapi.Unavailable
	}
	return e
}

// IsCode says whether err is the controller's answer of that kind.
func IsCode(err error, code userapi.Code) bool {
	var e *userapi.Error
	return errors.As(err, &e) && e.Code == code
}
