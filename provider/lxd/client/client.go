// Package client speaks to LXD over its REST API, on its unix socket or over HTTPS. Its methods have the names of the
// interface InstanceServer of LXD's own Go library, and its types the names and JSON of that library's package api,
// so that this can be replaced by that. Only what the provider needs is here.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ConnectionArgs says where LXD is and how it is spoken to.
type ConnectionArgs struct {
	Endpoint string // https://host:port, or the path of a unix socket
	Project  string // "" is the default one

	// For HTTPS.
	TLSClientCert string // PEM
	TLSClientKey  string // PEM
	TLSServerCert string // PEM: the server must show exactly this one
	TLSCA         string // PEM: or one that this authority has signed
	Fingerprint   string // or one with this SHA-256, in hex

	Patience time.Duration // how long one answer may take; zero means 30 s
}

// An InstanceServer is an LXD, seen in one project. It is safe for several goroutines.
type InstanceServer struct {
	args ConnectionArgs
	http *http.Client
	base string
}

// Connect prepares to speak to a server. It reaches no one.
func Connect(args ConnectionArgs) (*InstanceServer, error) {
	args.Project = cmp.Or(args.Project, "default")
	args.Patience = cmp.Or(args.Patience, 30*time.Second)
	s := &InstanceServer{args: args}
	transport := &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: args.Patience}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if strings.HasPrefix(args.Endpoint, "https://") {
		u, err := url.Parse(args.Endpoint)
		if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("LXD's endpoint %q is not of the form https://HOST:PORT", args.Endpoint)
		}
		if u.Port() == "" {
			u.Host += ":8443"
		}
		conf, err := args.tls()
		if err != nil {
			return nil, fmt.Errorf("connect to LXD at %s: %w", args.Endpoint, err)
		}
		transport.TLSClientConfig, transport.DialContext = conf, dialer.DialContext
		s.base = "https://" + u.Host
	} else {
		path := strings.TrimPrefix(args.Endpoint, "unix://")
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("LXD's endpoint %q is neither https://HOST:PORT nor the path of a unix socket", args.Endpoint)
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
		s.base = "http://unix.socket"
	}
	s.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s, nil
}

// Close closes the connections that are idle.
func (s *InstanceServer) Close() { s.http.CloseIdleConnections() }

// tls holds the server to the certificate that is known of it. Its name proves nothing: LXD's certificates are self-signed.
func (a ConnectionArgs) tls() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // VerifyConnection verifies
	if a.TLSClientCert != "" {
		cert, err := tls.X509KeyPair([]byte(a.TLSClientCert), []byte(a.TLSClientKey))
		if err != nil {
			return nil, fmt.Errorf("the client's certificate and key: %w", err)
		}
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	switch {
	case a.TLSServerCert != "":
		block, _ := pem.Decode([]byte(a.TLSServerCert))
		if block == nil {
			return nil, errors.New("the server's certificate is not in PEM")
		}
		conf.VerifyConnection = pinned(Fingerprint(block.Bytes))
	case a.Fingerprint != "":
		conf.VerifyConnection = pinned(strings.ToLower(a.Fingerprint))
	case a.TLSCA != "":
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(a.TLSCA)) {
			return nil, errors.New("the authority's certificate is not in PEM")
		}
		conf.VerifyConnection = func(c tls.ConnectionState) error {
			_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool})
			return err
		}
	default:
		return nil, errors.New("nothing is known by which the server could be recognised: neither its certificate, nor its fingerprint, nor an authority")
	}
	return conf, nil
}

func pinned(fingerprint string) func(tls.ConnectionState) error {
	return func(c tls.ConnectionState) error {
		if got := Fingerprint(c.PeerCertificates[0].Raw); got != fingerprint {
			return fmt.Errorf("%w: it shows %s, and %s is expected", ErrOtherServer, got, fingerprint)
		}
		return nil
	}
}

// path is a path below /1.0, each element escaped.
func path(elem ...string) string {
	for i := range elem {
		elem[i] = url.PathEscape(elem[i])
	}
	return "/1.0/" + strings.Join(elem, "/")
}

// An answer is LXD's to a request.
type answer struct {
	Type      string          `json:"type"`
	Operation string          `json:"operation"`
	ErrorCode int             `json:"error_code"`
	Error     string          `json:"error"`
	Metadata  json.RawMessage `json:"metadata"`

	etag string
	date time.Time
}

// query asks once. What is sent is sent as JSON, and what comes is read into got, if it is not nil; etag, if not "", is what
// must still be the state that the request changes.
func (s *InstanceServer) query(ctx context.Context, method, path string, send any, etag string, got any) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.args.Patience)
	defer cancel()
	var body io.Reader
	if send != nil {
		data, err := json.Marshal(send)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(data)
	}
	req, err := s.request(ctx, method, path, nil, body)
	if err != nil {
		return answer{}, err
	}
	if send != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	a, err := s.answer(req)
	if err != nil {
		return a, err
	}
	if got != nil {
		if err := json.Unmarshal(a.Metadata, got); err != nil {
			return a, s.lost(req, fmt.Errorf("what answers is not LXD: %w", err))
		}
	}
	return a, nil
}

// request is a request in the client's project.
func (s *InstanceServer) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	u, err := url.Parse(s.base + path)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	for k, v := range query {
		q[k] = v
	}
	if !q.Has("project") && s.args.Project != "default" {
		q.Set("project", s.args.Project)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "grigri")
	return req, nil
}

const maxAnswer = 64 << 20

func (s *InstanceServer) answer(req *http.Request) (answer, error) {
	resp, err := s.http.Do(req)
	if err != nil {
		return answer{}, s.lost(req, err)
	}
	defer resp.Body.Close()
	a := answer{etag: resp.Header.Get("ETag")}
	a.date, _ = http.ParseTime(resp.Header.Get("Date"))
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a, s.lost(req, err)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		if resp.StatusCode >= 400 {
			return a, &StatusError{Status: resp.StatusCode, Message: http.StatusText(resp.StatusCode)}
		}
		return a, s.lost(req, fmt.Errorf("what answers is not LXD: %w", err))
	}
	if a.Type == "error" || resp.StatusCode >= 400 {
		return a, &StatusError{Status: cmp.Or(a.ErrorCode, resp.StatusCode), Message: a.Error}
	}
	return a, nil
}

func (s *InstanceServer) lost(req *http.Request, err error) error {
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		err = inner.Err // the rest says the URL, which for a unix socket means nothing
	}
	return &LostError{What: req.Method + " " + req.URL.Path, Endpoint: s.args.Endpoint, Err: err}
}
