package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
)

// A site is a server with a certificate of its own authority.
type site struct {
	address string
	ca      string
}

func authority(t *testing.T) pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func serve(t *testing.T, handler http.HandlerFunc) site {
	t.Helper()
	a := authority(t)
	id, err := a.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Server, Hosts: []string{userapi.ServerName}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(id.Certificate, id.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return site{s.Listener.Addr().String(), string(a.Certificate())}
}

func dial(t *testing.T, s site, patience time.Duration) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Name: "c1", Addresses: []string{s.address}, CA: s.ca, User: "admin", Password: "secret", Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := site{l.Addr().String(), string(authority(t).Certificate())}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := client.Config{Name: "c1", Addresses: []string{nobody.address}, CA: nobody.ca, Patience: time.Millisecond, Start: "grigrid run --data-dir /d"}
	if c, err := client.New(config); err != nil {
		t.Fatal(err)
	} else if _, err := c.Models(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "connection refused: start it with: grigrid run --data-dir /d") {
		t.Errorf("got %v, want how it is started", err)
	}
	there := serve(t, func(http.ResponseWriter, *http.Request) {})
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, c := range []struct {
		name string
		site site
		want []string
	}{
		{"nobody listens", nobody, []string{`controller "c1" at ` + nobody.address + " does not answer: ", "connection refused: is grigrid running?"}},
		{"another's certificate", site{there.address, nobody.ca}, []string{`controller "c1" at `, "shows a certificate that is not this controller's", "is another controller listening there?"}},
		{"no TLS", site{plain.Listener.Addr().String(), nobody.ca}, []string{`controller "c1" at `, "does not speak TLS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dial(t, c.site, time.Millisecond).Models(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got %v, want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the password is in the error")
			}
			if got := errors.Is(err, client.ErrNoAnswer); got != (c.name == "nobody listens") {
				t.Errorf("ErrNoAnswer: %t", got)
			}
		})
	}
}

func refuse(w http.ResponseWriter, status int, code userapi.Code) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":{"code":"`+string(code)+`","message":"so it is"}}`)
}

func TestOneRequestHoweverOftenItIsSent(t *testing.T) {
	var tries atomic.Int32
	var first atomic.Value
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(userapi.RequestHeader)
		switch tries.Add(1) {
		case 1:
			first.Store(id)
			if r.Header.Get(userapi.RetryHeader) != "" {
				t.Error("the first try says that it is another")
			}
			refuse(w, http.StatusServiceUnavailable, userapi.Unavailable)
		case 2:
			panic(http.ErrAbortHandler) // the connection breaks
		default:
			if id != first.Load() || id == "" || r.Header.Get(userapi.RetryHeader) == "" {
				t.Errorf("the third try is %q, the first was %q", id, first.Load())
			}
			if user, password, _ := r.BasicAuth(); user != "admin" || password != "secret" {
				t.Errorf("it is of %s", user)
			}
			_, _ = io.WriteString(w, `{"units":["web/0"]}`)
		}
	})
	units, err := dial(t, s, time.Minute).Model("m").AddUnits(t.Context(), "web", userapi.AddUnits{N: 1})
	if err != nil || len(units) != 1 || tries.Load() != 3 {
		t.Fatalf("%v, %v after %d tries", units, err, tries.Load())
	}
}

func TestARefusalIsNotTriedAgain(t *testing.T) {
	var tries atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		refuse(w, http.StatusConflict, userapi.Conflict)
	})
	_, err := dial(t, s, 20*time.Second).Models(t.Context())
	if !client.IsCode(err, userapi.Conflict) || err.Error() != "so it is" || tries.Load() != 1 {
		t.Fatalf("%v after %d tries", err, tries.Load())
	}
}

func TestPathsAreEscaped(t *testing.T) {
	var got atomic.Value
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Method + " " + r.URL.EscapedPath())
		_, _ = io.WriteString(w, `{}`)
	})
	c := dial(t, s, time.Second)
	if _, err := c.Model("admin/shop").RemoveRelation(t.Context(), "web:db db", client.Removal{}); err != nil {
		t.Fatal(err)
	}
	if want := "DELETE /v1/models/admin%2Fshop/relations/" + url.PathEscape("web:db db"); got.Load() != want {
		t.Errorf("got %s, want %s", got.Load(), want)
	}
	if _, err := c.Model("").Info(t.Context()); err == nil || !strings.Contains(err.Error(), "{model} is empty") {
		t.Errorf("an empty name: %v", err)
	}
}

func TestAContextEndsAllTries(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := dial(t, s, time.Hour).Models(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

// A controller that sees its client go away ends what it does, and answers; the answer may still arrive.
func TestAnAnswerAfterTheEndOfTheContext(t *testing.T) {
	var leave atomic.Pointer[context.CancelFunc]
	c := dial(t, serve(t, func(_ http.ResponseWriter, r *http.Request) {
		(*leave.Load())()
		<-r.Context().Done()
	}), time.Hour)
	for range 500 { // without the guard one in a hundred arrives
		ctx, cancel := context.WithCancel(t.Context())
		leave.Store(&cancel)
		if _, err := c.Models(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
}
