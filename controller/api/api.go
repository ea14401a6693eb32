// Package api is the controller's HTTPS interface: one table of routes, with who may use each.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/controller/logs"
	"github.com/grigri/grigri/controller/statuslog"
	"github.com/grigri/grigri/controller/view"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A Route is one row of the table of all routes.
type Route struct {
	Pattern string // of userapi or agentapi: "POST /v1/models"
	Access  Access
	Handle  func(context.Context, *Server, *request) (any, error)
	Patient bool // it may take as long as its caller waits
}

// An Access says who may use a route.
type Access int

// The levels of access. Of a model's routes Reader and Writer are its owner and superusers; others do not learn that the model is there.
const (
	Nobody  Access = iota // no route has it
	Open                  // everyone
	Machine               // a machine that shows its certificate
	Reader                // a user who may see
	Writer                // a user who may change
	Admin                 // a superuser
)

// Config is what a Server needs.
type Config struct {
	Store     state.Store
	Key       state.Key
	Authority pki.Authority
	Charms    archive.Dir
	Resources archive.Dir
	Plugins   archive.Dir // programs of providers, pinned by clouds
	Agents    archive.Dir // what every machine may fetch before anyone knows it
	Logs      *logs.Store
	Statuses  *statuslog.Store
	Providers func(context.Context, state.Place) (provider.Provider, error) // of a place, as the tree describes it now
	Build     string                                                        // SHA-256 of the daemon's program, hex
	Addresses state.Addresses                                               // of controllers and ZooKeeper, as agents are to be told
	Chroot    string                                                        // of the tree
	Leads     func() bool                                                   // whether this controller leads; nil: it does not
	Programs  Programs                                                      // nil: they are not ours to replace
	Stop      func()                                                        // ends the daemon; nil: it cannot be asked to
	Now       func() time.Time
	Log       *slog.Logger
}

// A Server answers the routes. It is an http.Handler.
type Server struct {
	Config
	mux     *http.ServeMux
	users   verified
	charms  charmIndex
	views   *view.Cache
	reports reports
	ending  context.Context // ends when those who wait should not any more
	end     context.CancelFunc
}

// New returns a server of the routes.
func New(c Config) (*Server, error) {
	switch {
	case c.Store == nil, c.Logs == nil, c.Statuses == nil, c.Providers == nil:
		return nil, errors.New("the API needs a store, logs, statuses and providers")
	case c.Charms == "" || c.Agents == "" || c.Resources == "" || c.Plugins == "":
		return nil, errors.New("the API needs directories for archives")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Config: c, mux: http.NewServeMux()}
	s.ending, s.end = context.WithCancel(context.Background())
	s.views = view.NewCache(s.ending, c.Store)
	for _, r := range Routes() {
		s.mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, req *http.Request) { s.serve(w, req, r) })
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		s.refuse(w, req, &userapi.Error{Code: userapi.NotFound, Message: "there is no " + req.Method + " " + req.URL.Path + " here: are client and controller of the same version?"})
	})
	return s, nil
}

// End makes those who wait for something be answered now: the server is about to go.
func (s *Server) End() { s.end() }

// patience is how long a request may take whose route is not Patient, and how long it may take to find out who makes one.
const patience = 30 * time.Second

// uploadPatience is how long the upload of an archive may take.
const uploadPatience = 10 * time.Minute

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request, route Route) {
	began := time.Now()
	ctx := r.Context()
	if !route.Patient {
		limit := patience
		if r.Method == http.MethodPut && r.ContentLength > 1<<20 {
			limit = uploadPatience
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
		_ = http.NewResponseController(w).SetReadDeadline(began.Add(limit)) // a body that does not come, too
	}
	q := &request{Request: r, writer: w}
	out, err := s.handle(ctx, q, route)
	level := slog.LevelDebug
	if r.Method != http.MethodGet && route.Access > Machine {
		level = slog.LevelInfo
	}
	s.Log.Log(ctx, level, "request", "method", r.Method, "path", r.URL.Path, "by", q.who(), "took", time.Since(began).Round(time.Microsecond), "err", err)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answer(w, r, out)
}

// handle admits the request and does what the route does. A bug in there is one request's end, not the daemon's.
func (s *Server) handle(ctx context.Context, q *request, route Route) (out any, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			s.Log.Error("a bug", "route", route.Pattern, "err", bug, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: this is a bug: %v", route.Pattern, bug)
		}
	}()
	admission, cancel := context.WithTimeout(ctx, patience)
	err = s.admit(admission, q, route.Access)
	cancel()
	if err != nil {
		return nil, err
	}
	out, err = route.Handle(ctx, s, q)
	if errors.Is(err, state.ErrNotFound) && q.model.UUID != "" {
		// What should be there is not: something has gone while it was looked at, perhaps the whole model.
		name := q.model.Owner + "/" + q.model.Name
		switch m, rerr := s.readModel(ctx, q.model.UUID); {
		case rerr == nil && m == nil:
			err = notFound("model", name)
		case rerr == nil:
			err = &userapi.Error{Code: userapi.Unavailable, Message: fmt.Sprintf("model %q is changing: %v: try again", name, err)}
		}
	}
	return out, err
}
