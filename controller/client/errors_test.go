package client_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
)

func TestWhatMayPass(t *testing.T) {
	answer := func(h http.HandlerFunc) site { return serve(t, h) }
	stranger := answer(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name string
		site site
		want bool
	}{
		{"nobody listens", site{"127.0.0.1:1", stranger.ca}, true},
		{"the connection breaks", answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), true},
		{"the answer breaks off", answer(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"status":{`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}), true},
		{"it cannot now", answer(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusServiceUnavailable, userapi.Unavailable)
		}), true},
		{"it may not be told", answer(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden, userapi.Forbidden) }), false},
		{"there is no such model", answer(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, userapi.NotFound) }), false},
		{"another's certificate", site{stranger.address, string(authority(t).Certificate())}, false},
	} {
		_, err := dial(t, c.site, time.Millisecond).Model("m").Status(t.Context())
		if err == nil || client.Passing(err) != c.want {
			t.Errorf("%s: %v: %v", c.name, !c.want, err)
		}
	}
	if client.Passing(nil) {
		t.Error("success may pass")
	}
}
