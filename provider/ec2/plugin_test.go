package ec2_test

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/mototest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
	"github.com/grigri/grigri/provider/plugin"
	"github.com/grigri/grigri/provider/providertest"
)

const serves = "GRIGRI_TEST_SERVES_EC2"

// The tests are their own plugin.
func TestMain(m *testing.M) {
	if os.Getenv(serves) != "" {
		plugin.Serve(func(s provider.Spec) (provider.Provider, error) {
			return ec2.Open(ec2.Config{Spec: s, Arch: "amd64", Poll: 10 * time.Millisecond, Settle: 300 * time.Millisecond, Timeout: time.Minute})
		})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// In a program of its own it keeps the contract as well.
func TestContractInAPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	s := mototest.Start(t)
	hash, err := plugin.Hash(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	opened := map[*testing.T][]provider.Provider{}
	providertest.Run(t, providertest.Config{
		Init: func(string) provider.Init { return provider.Init{Script: []byte(script)} },
		Open: func(t *testing.T) provider.Provider {
			spec := spec(s)
			spec.Cloud.PluginHash = hash
			p, err := plugin.Open(plugin.Config{File: os.Args[0], Spec: spec, Environment: []string{serves + "=1"}})
			if err != nil {
				t.Fatal(err)
			}
			if len(opened[t]) == 0 {
				t.Cleanup(func() { // after the contract's own
					for _, p := range opened[t] {
						p.(io.Closer).Close()
					}
				})
			}
			opened[t] = append(opened[t], p)
			return p
		},
	})
}
