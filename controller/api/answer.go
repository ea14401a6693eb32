package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// A file is an answer that is a file. It is closed when it has been sent.
type file struct {
	io.ReadSeekCloser
	hash string
}

// A stream is an answer that writes itself.
type stream func(http.ResponseWriter) error

// answer sends the result of a route: nil as an empty object.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, out any) {
	var err error
	switch out := out.(type) {
	case stream:
		err = out(w)
	case file:
		defer out.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("ETag", `"`+out.hash+`"`)
		_, err = io.Copy(w, out)
	case nil:
		err = writeJSON(w, http.StatusOK, struct{}{})
	default:
		err = writeJSON(w, http.StatusOK, out)
	}
	if err != nil && r.Context().Err() == nil {
		s.Log.Debug("answer", "path", r.URL.Path, "err", err)
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		data, status = []byte(`{"error":{"code":"internal","message":"the answer cannot be encoded"}}`), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, werr := w.Write(append(data, '\n'))
	return errors.Join(err, werr)
}

// refuse sends an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := explain(err)
	if e.Code == userapi.Internal {
		s.Log.Error("request refused", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if e.Code == userapi.Unauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="grigri"`)
	}
	_ = writeJSON(w, statuses()[e.Code], userapi.Failure{Error: e}) // the client has gone: nobody is left to be told
}

func statuses() map[userapi.Code]int {
	return map[userapi.Code]int{
		userapi.NotFound: http.StatusNotFound, userapi.AlreadyExists: http.StatusConflict, userapi.BadRequest: http.StatusBadRequest,
		userapi.Unauthorized: http.StatusUnauthorized, userapi.Forbidden: http.StatusForbidden, userapi.Conflict: http.StatusConflict,
		userapi.Unavailable: http.StatusServiceUnavailable, userapi.Internal: http.StatusInternalServerError,
	}
}

// explain is what a client is told of an error.
func explain(err error) *userapi.Error {
	var own *userapi.Error
	if errors.As(err, &own) {
		return own
	}
	var missing *state.NotFoundError
	var exists *state.ExistsError
	var invalid *state.InvalidError
	var refused *state.RefusedError
	var tooLarge *http.MaxBytesError
	code := userapi.Internal
	switch {
	case errors.As(err, &missing), errors.Is(err, archive.ErrNotFound),
		errors.Is(err, state.ErrNotFound), errors.Is(err, provider.ErrNotFound): // the last two: it went while we looked
		code = userapi.NotFound
	case errors.As(err, &exists):
		code = userapi.AlreadyExists
	case errors.As(err, &invalid), errors.Is(err, charm.ErrInvalid), errors.Is(err, archive.ErrHash), errors.Is(err, archive.ErrTooLarge),
		errors.As(err, &tooLarge), errors.Is(err, state.ErrTooLarge):
		code = userapi.BadRequest
	case errors.As(err, &refused):
		code = userapi.Conflict
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &userapi.Error{Code: userapi.Unavailable, Message: "the controller was not done in time: does ZooKeeper answer? " + err.Error()}
	case errors.Is(err, state.ErrUnknown), errors.Is(err, provider.ErrTransient):
		code = userapi.Unavailable
	}
	return &userapi.Error{Code: code, Message: err.Error()}
}

func notFound(kind, name string) error { return &state.NotFoundError{Kind: kind, Name: name} }

func invalid(text string) error { return &state.InvalidError{Text: text} }
