package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/grigri/grigri/controller/logs"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// showLogs streams the lines of the model's log that the user wants.
func showLogs(ctx context.Context, s *Server, q *request) (any, error) {
	f, err := userapi.ParseLogFilter(q.URL.Query())
	if err == nil {
		err = logs.Check(f)
	}
	if err != nil {
		return nil, invalid(err.Error())
	}
	m := q.model.UUID
	return stream(func(w http.ResponseWriter) error {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		flush := http.NewResponseController(w)
		if err := flush.Flush(); err != nil {
			return err
		}
		ctx, cancel := s.untilEnd(ctx)
		defer cancel()
		out := json.NewEncoder(w)
		return s.Logs.Read(ctx, m, f, func(l agentapi.LogLine) error {
			if err := out.Encode(l); err != nil || !f.Follow {
				return err
			}
			return flush.Flush()
		})
	}), nil
}

// untilEnd is a context that ends with ctx or with the server.
func (s *Server) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ending, cancel)
	return ctx, func() { stop(); cancel() }
}

// maxLogBody is the size of what an agent may send of its log at once.
const maxLogBody = 4 << 20

// takeLogs keeps what a machine's agent says of its machine and units. What it says in the name of others is put down to the machine.
func takeLogs(ctx context.Context, s *Server, q *request) (any, error) {
	machine, err := state.ReadIf[state.Machine](ctx, s.Store, q.machineOf.MachinePath(q.machine))
	if err != nil {
		return nil, err
	}
	own := []string{q.machine.Tag()}
	for _, u := range machine.Value.Units {
		own = append(own, u.Tag())
	}
	lines, err := decodeLines[agentapi.LogLine](q)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	for i, l := range lines {
		if !slices.Contains(own, l.Entity) {
			lines[i].Message = fmt.Sprintf("%s: %s", l.Entity, l.Message)
			lines[i].Entity = q.machine.Tag()
		}
	}
	return nil, s.Logs.Append(q.machineOf, lines)
}

// decodeLines reads a body that is a value a line.
func decodeLines[T any](q *request) ([]T, error) {
	var out []T
	d := json.NewDecoder(http.MaxBytesReader(q.writer, q.Body, maxLogBody))
	for {
		var line T
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, invalid("read the lines: " + err.Error())
		}
		out = append(out, line)
	}
}
