package mototest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Fault is what happens to some calls instead of, or besides, what should.
type Fault struct {
	Action string                // of the API: RunInstances
	Match  func(url.Values) bool // nil: every call
	Times  int                   // how many calls; 0: one; less: all

	Delay time.Duration // before anything else
	After bool          // the call takes effect before what follows; else it never reaches the cloud
	Twice bool          // it takes effect twice, as when a network repeats it

	Skew time.Duration // of the clock by which it is answered

	Drop   bool   // the connection ends without an answer
	Status int    // of an error; 0 with a Code: 400
	Code   string // of an error
	Text   string // of an error
	Body   string // an answer, with status 200
}

// Inject adds a fault. Of several that fit a call the first is used.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults = append(s.faults, &f)
}

// Mend removes all faults.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Pending is how many calls the faults that were given a number still wait for.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.faults {
		n += max(0, f.Times)
	}
	return n
}

// Calls is how many calls of the action there have been.
func (s *Server) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// Reboots is how often the instance has been told to reboot, which moto's own API does not show.
func (s *Server) Reboots(instance string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reboots[instance]
}

func (s *Server) rebooted(form url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 1; form.Has(fmt.Sprintf("InstanceId.%d", n)); n++ {
		s.reboots[form.Get(fmt.Sprintf("InstanceId.%d", n))]++
	}
}

func (s *Server) fault(action string, form url.Values) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[action]++
	for _, f := range s.faults {
		if f.Action == action && f.Times != 0 && (f.Match == nil || f.Match(form)) {
			if f.Times > 0 {
				f.Times--
			}
			return f
		}
	}
	return nil
}

// handler is the proxy.
func (s *Server) handler(backend *url.URL, forward *httputil.ReverseProxy) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		form, _ := url.ParseQuery(string(body))
		action := form.Get("Action")
		pass := func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			again := r.Clone(r.Context())
			again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			again.Header.Del("Accept-Encoding")
			forward.ServeHTTP(rec, again)
			if action == "RebootInstances" && rec.Code == http.StatusOK {
				s.rebooted(form)
			}
			return rec
		}
		call := func() *httptest.ResponseRecorder { return s.idempotent(action, form, pass, r, backend) }
		f := s.fault(action, form)
		if f == nil {
			reply(w, call())
			return
		}
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
		fails := f.Drop || f.Code != "" || f.Status != 0 || f.Body != ""
		if f.After || f.Twice || !fails {
			rec := call()
			if f.Twice {
				rec = call()
			}
			if !fails {
				if f.Skew != 0 {
					rec.Header().Set("Date", time.Now().Add(f.Skew).UTC().Format(http.TimeFormat))
				}
				reply(w, rec)
				return
			}
		}
		f.answer(w)
	})
}

func (f *Fault) answer(w http.ResponseWriter) {
	if f.Drop {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	if f.Body != "" {
		io.WriteString(w, f.Body)
		return
	}
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	writeError(w, f.Code, f.Text)
}

func writeError(w io.Writer, code, text string) {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(text))
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>r</RequestID></Response>`, code, b.String())
}

func reply(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for k, v := range rec.Header() {
		if k != "Content-Length" {
			w.Header()[k] = v
		}
	}
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes())
}

// A remembered call is one made with a client token.
type remembered struct {
	mu     sync.Mutex // held while the call is made
	params string
	body   []byte
}

// idempotent is EC2's promise for client tokens, which moto does not keep: the same token with the same parameters makes one
// resource, and answers with what has become of it; with other parameters it is an error. A call that failed is not remembered.
func (s *Server) idempotent(action string, form url.Values, pass func() *httptest.ResponseRecorder, r *http.Request, backend *url.URL) *httptest.ResponseRecorder {
	token := form.Get("ClientToken")
	if token == "" || !slices.Contains([]string{"RunInstances", "CreateVolume"}, action) {
		return pass()
	}
	key := action + " " + regionOf(r) + " " + token
	s.mu.Lock()
	call := s.tokens[key]
	if call == nil {
		call = &remembered{}
		s.tokens[key] = call
	}
	s.mu.Unlock()
	call.mu.Lock()
	defer call.mu.Unlock()
	switch {
	case call.body == nil:
		rec := pass()
		if rec.Code == http.StatusOK {
			call.params, call.body = form.Encode(), bytes.Clone(rec.Body.Bytes())
		}
		return rec
	case call.params != form.Encode():
		rec := httptest.NewRecorder()
		rec.WriteHeader(http.StatusBadRequest)
		writeError(rec, "IdempotentParameterMismatch", "The client token "+token+" was used with other parameters.")
		return rec
	}
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "text/xml")
	rec.Write(now(action, call.body, r, backend))
	return rec
}

var (
	scope         = regexp.MustCompile(`Credential=[^/]*/[^/]*/([^/]*)/`)
	instanceID    = regexp.MustCompile(`<instanceId>(i-[^<]*)</instanceId>`)
	instanceState = regexp.MustCompile(`(?s)<instanceState>.*?</instanceState>`)
)

func regionOf(r *http.Request) string {
	if m := scope.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		return m[1]
	}
	return ""
}

// now is the answer to an earlier RunInstances with the state that the instance is in.
func now(action string, body []byte, r *http.Request, backend *url.URL) []byte {
	m := instanceID.FindSubmatch(body)
	if action != "RunInstances" || m == nil {
		return body
	}
	form := url.Values{"Action": {"DescribeInstances"}, "Version": {"2016-11-15"}, "InstanceId.1": {string(m[1])}}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, backend.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return body
	}
	req.Header = r.Header.Clone()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Host = r.Host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return body
	}
	defer resp.Body.Close()
	described, err := io.ReadAll(resp.Body)
	if state := instanceState.Find(described); err == nil && state != nil {
		return instanceState.ReplaceAllLiteral(body, state)
	}
	return body
}
