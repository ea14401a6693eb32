package lxd_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/internal/wiretest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/plugintest"
	"github.com/grigri/grigri/provider/providertest"
)

var operation = regexp.MustCompile(`/operations/[0-9a-f-]+`)

// wire is a way to LXD's socket.
func wire(t *testing.T, s *lxdtest.Server) *wiretest.Wire {
	return wiretest.Start(t, wiretest.Config{
		To: s.Socket,
		Kind: func(r *http.Request, _ []byte) (string, bool) {
			return r.Method + " " + operation.ReplaceAllString(r.URL.Path, "/operations/ID"), r.Method != http.MethodGet
		},
		Refuse: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"type":"error","error":"LXD daemon not started yet","error_code":503}`)
		},
	})
}

// What goes wrong between us and LXD, in LXD, and with the plugin that we are in.
func TestFaults(t *testing.T) {
	s := server.Server(t)
	w := wire(t, s)
	kill := func() {}
	providertest.Faults(t, providertest.FaultConfig{
		Config: providertest.Config{
			Open: func(t *testing.T) provider.Provider {
				sp := spec(s)
				sp.Cloud.Endpoint = w.Socket
				if !strings.Contains(t.Name(), "once") {
					sp.Cloud.Config["network"] = lxdtest.Network // which is quicker than one of ours
				}
				p, k := plugintest.Open(t, sp)
				kill = k
				return p
			},
			Init:     func(string) provider.Init { return provider.Init{Script: []byte("#!/bin/sh\n:\n")} },
			Patience: patience,
		},
		Wire: w,
		Made: func(kind string) bool { return kind == "POST /1.0/instances" },
		Kill: func(*testing.T) { kill() },
		Quota: func(t *testing.T) (string, func()) {
			s.LXC(t, "project", "set", s.Project, "limits.containers=0")
			return "Reached maximum number of instances", sync.OnceFunc(func() { s.LXC(t, "project", "unset", s.Project, "limits.containers") })
		},
		Stick: func(t *testing.T, id provider.InstanceID) func() {
			s.LXC(t, "config", "set", string(id), "security.protection.delete=true")
			return sync.OnceFunc(func() { s.LXC(t, "config", "unset", string(id), "security.protection.delete") })
		},
	})
	if n := strings.Count(s.LXC(t, "list", "-f", "csv"), "grigri-"); n != 0 {
		t.Errorf("%d instances are left", n)
	}
}

const (
	events  = "GET /1.0/events"
	command = "GET /1.0/operations/ID/websocket"
)

// The end of an operation is heard of when its events break off, or nothing comes; a command whose streams break off is run again.
func TestStreamsThatBreakOff(t *testing.T) {
	s := server.Server(t)
	w := wire(t, s)
	sp := spec(s)
	sp.Cloud.Endpoint, sp.Cloud.Config["network"] = w.Socket, lxdtest.Network
	p := open(t, sp)
	cut := 0
	during := func(kind string, times int, f func()) { // each time may end one command, also before all of its streams are there
		done := make(chan struct{})
		var g sync.WaitGroup
		g.Go(func() {
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-done:
					return
				case <-tick.C:
					if times > 0 && w.CutStreams(kind) > 0 {
						cut, times = cut+1, times-1
					}
				}
			}
		})
		f()
		close(done)
		g.Wait()
	}
	in := provider.Instance{}
	during(events, 50, func() { in = start(t, p, request("0", "")) })
	if cut == 0 {
		t.Error("no event stream was cut")
	}
	if h, err := p.Host(t.Context(), in.ID); err != nil {
		t.Error(err)
	} else {
		if err := h.Run(t.Context(), "kill -9 $$", io.Discard); !errors.Is(err, provider.ErrTransient) {
			t.Errorf("a command that is killed: %v", err)
		}
		during(command, 50, func() {
			if err := h.Run(t.Context(), "sleep 20", io.Discard); !errors.Is(err, provider.ErrTransient) {
				t.Errorf("its streams were cut: %v", err)
			}
		})
	}
	w.Deafen(events)
	if err := p.Stop(t.Context(), in.ID); err != nil {
		t.Error(err)
	}
	req := request("1", "echo once >>/root/ran; sleep 1000")
	req.Controller, req.Model = controller, model
	during(command, 6, func() { in = start(t, p, req) }) // a start looks ten times
	if got := s.LXC(t, "exec", string(in.ID), "--", "sh", "-c", "until [ -e /root/ran ]; do sleep 0.1; done; cat /root/ran"); got != "once\n" {
		t.Errorf("its script ran %q", got)
	}
	if w.Seen(events) == 0 {
		t.Error("nobody asked for events")
	}
}
