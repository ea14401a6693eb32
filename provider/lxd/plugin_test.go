package lxd_test

import (
	"testing"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin/plugintest"
	"github.com/grigri/grigri/provider/providertest"
)

// In a program of its own it keeps the contract as well: here in a network that is not ours, as users may want it.
func TestContractInAPlugin(t *testing.T) {
	s := server.Server(t)
	providertest.Run(t, providertest.Config{
		Open: func(t *testing.T) provider.Provider {
			sp := spec(s)
			sp.Cloud.Config["network"] = lxdtest.Network
			p, _ := plugintest.Open(t, sp)
			return p
		},
		Init:     func(string) provider.Init { return provider.Init{Script: []byte("#!/bin/sh\n:\n")} },
		Halt:     func(t *testing.T, id provider.InstanceID) { s.LXC(t, "stop", "--force", string(id)) },
		Patience: patience,
		Parallel: true,
	})
}
