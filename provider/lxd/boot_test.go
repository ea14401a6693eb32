package lxd

import (
	"errors"
	"net/http"
	"testing"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// A container that is stopped takes the one along who writes its files. That is no reason to give up either.
func TestAStopWhileAFileIsWritten(t *testing.T) {
	said := &client.StatusError{Status: http.StatusInternalServerError, Message: "read unix @->/proc/self/fd/54/forkfile.sock: read: connection reset by peer"}
	if err := classify(said); !errors.Is(err, provider.ErrTransient) || !raced(said) {
		t.Errorf("while a file is written: %v, looks again: %t", err, raced(said))
	}
}

// While a virtual machine boots LXD is asked for nothing that needs its agent, and what it says of that is no reason to give up.
func TestAVirtualMachineThatBoots(t *testing.T) {
	vm := client.Instance{Type: client.VM}
	if err := (&Provider{}).boot(t.Context(), nil, vm, []byte("#!/bin/sh\n"), true); err != nil { // there is no server to ask
		t.Error(err)
	}
	said := &client.StatusError{Status: http.StatusInternalServerError, Message: "LXD VM agent isn't currently running"}
	if err := classify(said); !errors.Is(err, provider.ErrTransient) {
		t.Errorf("without its agent: %v", err)
	}
}
