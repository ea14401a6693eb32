package ec2_test

import (
	"os"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/mototest"
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
