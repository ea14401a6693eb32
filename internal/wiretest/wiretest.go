// Package wiretest stands between a provider and the HTTP service that it asks, and does harm. It is a providertest.Wire.
// A Line does the same to services that speak something else.
package wiretest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/grigri/grigri/provider/providertest"
)

// Config is what is behind the wire, and how it speaks.
type Config struct {
	To string // http://host:port, or the path of a unix socket
	// Kind names what a request is for, as precisely as the service can tell, and says whether that changes something.
	Kind func(r *http.Request, body []byte) (name string, change bool)
	// Refuse answers as the service does when it has too much to do. Each word must be in the provider's error.
	Refuse func(w http.ResponseWriter)
}

// A Wire is a way to a service.
type Wire struct {
	Config
	URL    string // where it is reached, if To is a URL
	Socket string // if To is a socket

	forward *httputil.ReverseProxy

	mu      sync.Mutex
	harms   []providertest.Harm
	met     map[string]bool // by what a harm does but once
	ends    chan struct{}   // closed by Mend
	deaf    string          // streams of this kind pass nothing on to the client
	streams []*conn
	seen    map[string]int
}

// Start opens a way to a service. The test closes it.
func Start(t testing.TB, c Config) *Wire {
	t.Helper()
	w := &Wire{Config: c, met: map[string]bool{}, ends: make(chan struct{}), seen: map[string]int{}}
	s := httptest.NewUnstartedServer(w)
	to, err := url.Parse(c.To)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true} // a connection that the service has just closed would be a fault of ours
	if to.Scheme == "" {
		to = &url.URL{Scheme: "http", Host: "unix.socket"}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.To)
		}
		w.Socket = filepath.Join(t.TempDir(), "wire")
		l, err := net.Listen("unix", w.Socket)
		if err != nil {
			t.Fatal(err)
		}
		s.Listener.Close()
		s.Listener = l
	}
	s.Listener = listener{s.Listener, w}
	w.forward = &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, conn{}, c) }
	s.Start()
	if w.Socket == "" {
		w.URL = s.URL
	}
	t.Cleanup(func() {
		w.Mend()
		w.CutStreams("")
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	return w
}

// Do implements providertest.Wire.
func (w *Wire) Do(h providertest.Harm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.harms = append(w.harms, h)
}

// Mend implements providertest.Wire.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.harms, w.deaf = nil, ""
	clear(w.met)
	close(w.ends)
	w.ends = make(chan struct{})
}

// Seen is how many requests of the kind there have been.
func (w *Wire) Seen(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[name]
}

// harm is what happens to a request, and until when.
func (w *Wire) harm(name string, change bool) (providertest.Harm, chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[name]++
	for _, h := range w.harms {
		key := string(h.Fault) + " " + name
		if h.Only != nil && !h.Only(name) || h.Only == nil && h.Changes && !change || !h.Always && w.met[key] {
			continue
		}
		w.met[key] = true
		return h, w.ends
	}
	return providertest.Harm{}, w.ends
}

// ServeHTTP implements http.Handler.
func (w *Wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	stream := r.Header.Get("Upgrade") != ""
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	again := func() *http.Request {
		c := r.Clone(r.Context())
		c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return c
	}
	call := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.forward.ServeHTTP(rec, again())
		return rec
	}
	kind, change := w.Kind(r, body)
	h, mended := w.harm(kind, change)
	if stream {
		r.Context().Value(conn{}).(*conn).kind = kind
	}
	if stream && h.Fault != providertest.Cut && h.Fault != providertest.Refuse {
		h.Fault = ""
	}
	switch h.Fault {
	case providertest.Refuse:
		w.Config.Refuse(out)
	case providertest.Cut:
		cut()
	case providertest.Lose:
		call()
		cut()
	case providertest.Late:
		rec := call()
		if h.Call != nil {
			h.Call()
		}
		select {
		case <-mended:
		case <-r.Context().Done():
		}
		answer(out, rec, rec.Body.Len())
	case providertest.Twice:
		call()
		rec := call()
		answer(out, rec, rec.Body.Len())
	case providertest.Half:
		rec := call()
		answer(out, rec, rec.Body.Len()/2)
		cut()
	case providertest.Nonsense:
		out.Header().Set("Content-Type", "text/html")
		io.WriteString(out, "<html>Please log in to this network</html>")
	case providertest.Call:
		rec := call()
		h.Call()
		answer(out, rec, rec.Body.Len())
	default:
		w.forward.ServeHTTP(out, again())
	}
}

// cut ends the connection.
func cut() {
	panic(http.ErrAbortHandler)
}

// answer answers with the first n bytes of what was recorded, and promises all of it.
func answer(out http.ResponseWriter, rec *httptest.ResponseRecorder, n int) {
	for k, v := range rec.Header() {
		out.Header()[k] = v
	}
	out.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
	out.WriteHeader(rec.Code)
	out.Write(rec.Body.Bytes()[:n])
}
