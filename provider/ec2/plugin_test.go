package ec2_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/internal/wiretest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
	"github.com/grigri/grigri/provider/plugin/plugintest"
	"github.com/grigri/grigri/provider/providertest"
)

// The tests are their own plugin.
func TestMain(m *testing.M) {
	plugintest.Main(func(s provider.Spec) (provider.Provider, error) {
		return ec2.Open(ec2.Config{Spec: s, Arch: "amd64", Poll: 10 * time.Millisecond, Settle: 300 * time.Millisecond, Timeout: time.Minute})
	})
	os.Exit(m.Run())
}

// In a program of its own it keeps the contract as well.
func TestContractInAPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	s := mototest.Start(t)
	providertest.Run(t, providertest.Config{
		Init: func(string) provider.Init { return provider.Init{Script: []byte(script)} },
		Halt: func(t *testing.T, id provider.InstanceID) { halt(t, s, id) },
		Open: func(t *testing.T) provider.Provider {
			p, _ := plugintest.Open(t, spec(s))
			return p
		},
	})
}

// What goes wrong between us and EC2, in EC2, and with the plugin that we are in.
func TestFaultsInAPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	s := mototest.Start(t)
	w := wiretest.Start(t, wiretest.Config{
		To: s.URL,
		Kind: func(_ *http.Request, body []byte) (string, bool) {
			form, _ := url.ParseQuery(string(body))
			action := form.Get("Action")
			return action, !strings.HasPrefix(action, "Describe")
		},
		Refuse: func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `<?xml version="1.0"?><Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message></Error></Errors><RequestID>r</RequestID></Response>`)
		},
	})
	kill := func() {}
	providertest.Faults(t, providertest.FaultConfig{
		Config: providertest.Config{
			Init: func(string) provider.Init { return provider.Init{Script: []byte(script)} },
			Open: func(t *testing.T) provider.Provider {
				spec := spec(s)
				spec.Cloud.Endpoint = w.URL
				p, k := plugintest.Open(t, spec)
				kill = k
				return p
			},
			Patience: time.Minute,
		},
		Wire: w,
		Made: func(kind string) bool { return kind == "RunInstances" },
		Kill: func(*testing.T) { kill() },
		Quota: func(*testing.T) (string, func()) {
			s.Inject(mototest.Fault{Action: "RunInstances", Times: -1, Code: "VcpuLimitExceeded", Text: "You have requested more vCPU capacity than your current vCPU limit of 5 allows."})
			return "ask Amazon for a higher quota", s.Mend
		},
		Stick: func(t *testing.T, id provider.InstanceID) func() {
			protect := func(on bool) {
				if _, err := raw(s).ModifyInstanceAttribute(context.Background(), protection(id, on)); err != nil {
					t.Error(err)
				}
			}
			protect(true)
			return sync.OnceFunc(func() { protect(false) })
		},
	})
}
