package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

// statusSuccess is the lowest status of an operation that has ended, and that of one that has ended well.
const statusSuccess = 200

// An OperationInfo is what LXD says of an operation.
type OperationInfo struct {
	ID          string              `json:"id"`
	Class       string              `json:"class"` // task, websocket or token
	Description string              `json:"description"`
	Status      string              `json:"status"`
	StatusCode  int                 `json:"status_code"`
	Resources   map[string][]string `json:"resources"`
	Metadata    map[string]any      `json:"metadata"`
	Err         string              `json:"err"`
	Location    string              `json:"location"`
}

func (o OperationInfo) ended() bool { return o.StatusCode >= statusSuccess }

func (o OperationInfo) result() error {
	if o.StatusCode == statusSuccess {
		return nil
	}
	return &StatusError{Status: o.StatusCode, Message: o.Err}
}

// An Operation is something that LXD does in the background.
type Operation struct {
	s  *InstanceServer
	id string
}

// start asks for something that LXD does in the background.
func (s *InstanceServer) start(ctx context.Context, method, path string, send any, etag string) (*Operation, error) {
	a, err := s.query(ctx, method, path, send, etag, nil)
	if err != nil {
		return nil, err
	}
	return s.operation(a.Operation)
}

// operation is the one with this path; an answer without one is that of something done already.
func (s *InstanceServer) operation(path string) (*Operation, error) {
	if path == "" {
		return &Operation{s: s}, nil
	}
	_, id, ok := strings.Cut(path, "/operations/")
	if id, _, _ = strings.Cut(id, "?"); !ok || id == "" {
		return nil, fmt.Errorf("LXD names an operation %q", path)
	}
	return &Operation{s: s, id: id}, nil
}

// WaitContext returns when the operation has ended, with the error that it has ended with. It hears of that by LXD's events,
// and where these do not come by a question that LXD answers when there is something to say.
// A *LostError says that it is not known how it has ended: LXD does not answer, has forgotten it, or ctx is over.
func (o *Operation) WaitContext(ctx context.Context) error {
	if o.id == "" {
		return nil
	}
	info, err := o.byEvents(ctx)
	if err != nil && ctx.Err() == nil {
		info, err = o.byAsking(ctx)
	}
	switch {
	case err == nil:
		return info.result()
	case ctx.Err() != nil || IsNotFound(err):
		return &LostError{What: "wait for operation " + o.id, Endpoint: o.s.args.Endpoint, Err: cmp.Or(ctx.Err(), err)}
	}
	return err
}

// Cancel asks LXD to end the operation.
func (o *Operation) Cancel(ctx context.Context) error {
	_, err := o.s.query(ctx, http.MethodDelete, path("operations", o.id), nil, "", nil)
	return err
}

// firstSilence is how long no event is taken for no news. Then LXD is asked, and after that twice as long is waited.
const firstSilence = time.Second

// byEvents hears of the end by an event. LXD takes a listener for one a moment after it has answered him, and a connection may
// die in silence: when there is silence, LXD is asked.
func (o *Operation) byEvents(ctx context.Context) (OperationInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := o.s.websocket(ctx, path("events"), url.Values{"type": {"operation"}})
	if err != nil {
		return OperationInfo{}, err
	}
	defer events.CloseNow()
	events.SetReadLimit(maxEvent)
	heard, listening := make(chan OperationInfo), errgroup.Group{}
	listening.Go(func() error {
		defer close(heard)
		return o.listen(ctx, events, heard)
	})
	for silence := firstSilence; ; silence = min(2*silence, o.s.args.Patience) {
		// Asked only now: an end before is in the answer, and one after is among the events.
		info, err := o.s.GetOperation(ctx, o.id)
		if err != nil || info.ended() {
			return info, err
		}
		for quiet := time.After(silence); quiet != nil; {
			select {
			case <-quiet:
				quiet = nil
			case info, ok := <-heard:
				if !ok {
					return info, listening.Wait()
				}
				if info.ended() {
					return info, nil
				}
			}
		}
	}
}

const maxEvent = 1 << 20

// listen passes on what is heard of the operation, until the events end.
func (o *Operation) listen(ctx context.Context, events *websocket.Conn, heard chan<- OperationInfo) error {
	for {
		_, data, err := events.Read(ctx)
		if err != nil {
			return err
		}
		var event struct {
			Type     string          `json:"type"`
			Metadata json.RawMessage `json:"metadata"`
		}
		var info OperationInfo
		if err := json.Unmarshal(data, &event); err != nil {
			return err
		}
		if event.Type != "operation" {
			continue
		}
		if err := json.Unmarshal(event.Metadata, &info); err != nil {
			return err
		}
		if info.ID != o.id {
			continue
		}
		select {
		case heard <- info:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *Operation) byAsking(ctx context.Context) (OperationInfo, error) {
	timeout := max(1, int(o.s.args.Patience/time.Second)/2)
	for {
		var info OperationInfo
		_, err := o.s.query(ctx, http.MethodGet, path("operations", o.id, "wait")+"?timeout="+strconv.Itoa(timeout), nil, "", &info)
		if err != nil || info.ended() {
			return info, err
		}
	}
}

// GetOperation returns one operation.
func (s *InstanceServer) GetOperation(ctx context.Context, id string) (OperationInfo, error) {
	var info OperationInfo
	_, err := s.query(ctx, http.MethodGet, path("operations", id), nil, "", &info)
	return info, err
}

// GetOperations returns the operations that run or have just ended.
func (s *InstanceServer) GetOperations(ctx context.Context) ([]OperationInfo, error) {
	var byStatus map[string][]OperationInfo
	_, err := s.query(ctx, http.MethodGet, path("operations")+"?recursion=1", nil, "", &byStatus)
	var all []OperationInfo
	for _, some := range byStatus {
		all = append(all, some...)
	}
	return all, err
}

// RetrieveOperation returns a running operation to wait for.
func (s *InstanceServer) RetrieveOperation(id string) *Operation { return &Operation{s: s, id: id} }

// websocket opens a websocket.
func (s *InstanceServer) websocket(ctx context.Context, path string, query url.Values) (*websocket.Conn, error) {
	dial, cancel := context.WithTimeout(ctx, s.args.Patience)
	defer cancel()
	req, err := s.request(dial, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	conn, resp, err := websocket.Dial(dial, req.URL.String(), &websocket.DialOptions{HTTPClient: s.http, HTTPHeader: req.Header,
		// LXD pings and waits for no answer. One on a stream that LXD has just closed would fail, and with it all that is not read yet.
		OnPingReceived: func(context.Context, []byte) bool { return false }})
	if err != nil {
		if resp != nil && resp.StatusCode >= 400 {
			return nil, &StatusError{Status: resp.StatusCode, Message: "open " + path + ": " + resp.Status}
		}
		return nil, s.lost(req, err)
	}
	return conn, nil
}
