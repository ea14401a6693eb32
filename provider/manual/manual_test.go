package manual_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/manual"
)

// The contract of providers begins with a machine that starts, and here none does. What is left of it is this.
func TestNothingIsMade(t *testing.T) {
	var p provider.Provider = manual.Provider{}
	_, err := p.Start(t.Context(), provider.StartRequest{Controller: "c", Model: "m", Machine: "3"})
	if !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "start machine 3") || !strings.Contains(err.Error(), "add-machine ssh:user@host") {
		t.Errorf("got %v", err)
	}
	if err := p.Stop(t.Context(), "manual:root@h"); err != nil {
		t.Error(err)
	}
	if all, err := p.List(t.Context(), "c"); err != nil || len(all) > 0 {
		t.Errorf("listed %v, %v", all, err)
	}
}
