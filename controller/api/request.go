package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// maxBody is the size of a request's body, where it is not an archive.
const maxBody = 1 << 20

// A request is one request, with who makes it and about which model, as admit has found.
type request struct {
	*http.Request
	writer    http.ResponseWriter
	user      state.User
	machine   state.MachineID
	machineOf state.ModelID
	model     state.Model // zero where the route names none
	id        string
}

func (q *request) who() string {
	if q.machine != "" {
		return string(q.machineOf) + "/" + q.machine.Tag()
	}
	return q.user.Name
}

// decode reads the body into out. What it does not know is refused.
func (q *request) decode(out any) error {
	d := json.NewDecoder(http.MaxBytesReader(q.writer, q.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(out); err != nil {
		return invalid("read the request: " + err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("read the request: more than one value")
	}
	return nil
}

func (q *request) application() (state.ApplicationName, error) {
	name := q.PathValue("application")
	if !charm.ValidApplicationName(name) {
		return "", notFound("application", name)
	}
	return state.ApplicationName(name), nil
}

func (q *request) machineID() (state.MachineID, error) {
	text := q.PathValue("machine")
	id, err := state.ParseMachine(text)
	if err != nil {
		return "", notFound("machine", text)
	}
	return id, nil
}

// unit is the unit in the path: web-0, or web-leader.
func (q *request) unit() (state.UnitName, error) {
	text := q.PathValue("unit")
	if !strings.Contains(text, "/") {
		text = string(state.UnitOfNode(text))
	}
	u, err := state.ParseUnit(text)
	if err != nil {
		return "", invalid(err.Error())
	}
	if !charm.ValidApplicationName(string(u.Application())) {
		return "", notFound("unit", string(u))
	}
	return u, nil
}

// read is what the path names and what the body says of it: what most changes are.
func read[B, N any](q *request, named func() (N, error)) (name N, body B, err error) {
	if name, err = named(); err == nil {
		err = q.decode(&body)
	}
	return name, body, err
}

func (q *request) flag(name string) bool { return q.URL.Query().Get(name) == "true" }

func (q *request) number(name string) (int, error) {
	text := q.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalid(fmt.Sprintf("%s=%q is not a number", name, text))
	}
	return n, nil
}

func (q *request) duration(name string) (time.Duration, error) {
	text := q.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, invalid(fmt.Sprintf("%s=%q is not a duration", name, text))
	}
	return d, nil
}

// ending is how a thing is to go.
func (q *request) ending() (state.Ending, error) {
	timeout, err := q.duration("timeout")
	return state.Ending{Force: q.flag("force"), Destroy: q.flag("destroy-storage"), Timeout: timeout}, err
}

// ending is what the path names and how it is to go.
func ending[N any](q *request, named func() (N, error)) (name N, how state.Ending, err error) {
	if name, err = named(); err == nil {
		how, err = q.ending()
	}
	return name, how, err
}

// An answered is the answer to a request, kept in the tree with what it changed.
type answered struct {
	When   time.Time       `json:"when"`
	Answer json.RawMessage `json:"answer"`
}

// once makes a change and returns its answer; for a request that has come before it returns the answer that the first one got.
// Step tells apart the changes of one request.
func once[T any](ctx context.Context, s *Server, q *request, m state.ModelID, step string, decide func(context.Context, state.Reader, state.By) (state.Txn, T, error)) (T, error) {
	by := state.By{User: q.user.Name, Now: s.Now().UTC(), ID: q.user.Name + "." + q.requestID() + step}
	path := state.RequestPath(by.ID)
	again := q.Header.Get(userapi.RetryHeader) != ""
	return state.Apply(ctx, s.Store, m, by, func(ctx context.Context, r state.Reader) (state.Txn, T, error) {
		if again {
			before, err := state.ReadIf[answered](ctx, r, path)
			if err != nil {
				var none T
				return state.Txn{}, none, err
			}
			if before.Exists() {
				var out T
				return state.Txn{}, out, json.Unmarshal(before.Value.Answer, &out)
			}
		}
		again = true // if the commit is refused, the other one may have been the same request
		t, out, err := decide(ctx, r, by)
		if err == nil && len(t.Ops) > 0 {
			t.Create(path, answered{When: by.Now, Answer: state.Encode(out)})
		}
		return t, out, err
	})
}

// An edit is a change that has no answer.
type edit func(context.Context, state.Reader, state.ModelID, state.By) (state.Txn, error)

// alter is once for an edit of m.
func (s *Server) alter(ctx context.Context, q *request, m state.ModelID, step string, decide edit) error {
	_, err := once(ctx, s, q, m, step, func(ctx context.Context, r state.Reader, by state.By) (state.Txn, struct{}, error) {
		t, err := decide(ctx, r, m, by)
		return t, struct{}{}, err
	})
	return err
}

// ofModel makes an edit of the request's model.
func (s *Server) ofModel(ctx context.Context, q *request, decide edit) (any, error) {
	return nil, s.alter(ctx, q, q.model.UUID, "", decide)
}

// plan is what a change would be, and changes nothing.
func plan[T any](ctx context.Context, s *Server, q *request, decide func(context.Context, state.Reader, state.By) (state.Txn, T, error)) (T, error) {
	_, out, err := decide(ctx, s.Store, state.By{User: q.user.Name, Now: s.Now().UTC()})
	return out, err
}

// change is once, or plan for a dry run.
func change[T any](ctx context.Context, s *Server, q *request, m state.ModelID, decide func(context.Context, state.Reader, state.By) (state.Txn, T, error)) (T, error) {
	if q.flag("dry-run") {
		return plan(ctx, s, q, decide)
	}
	return once(ctx, s, q, m, "", decide)
}

// requestID is the name that the client gave the request, or one of our own.
func (q *request) requestID() string {
	if q.id == "" {
		q.id = q.Header.Get(userapi.RequestHeader)
		if !validID(q.id) {
			q.id = rand.Text()
		}
	}
	return q.id
}

func validID(id string) bool {
	return len(id) >= 8 && len(id) <= 64 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
