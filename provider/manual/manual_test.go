package manual_test

import (
	"os"
	"strings"
	"testing"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/manual"
	"github.com/grigri/grigri/provider/plugin/plugintest"
	"github.com/grigri/grigri/provider/providertest"
)

// The tests are their own plugin.
func TestMain(m *testing.M) {
	plugintest.Main(func(provider.Spec) (provider.Provider, error) { return manual.Provider{}, nil })
	os.Exit(m.Run())
}

// The contract of providers begins with a machine that starts, and here none does. What is left of it is kept.
func TestContract(t *testing.T) {
	for how, open := range map[string]func(*testing.T) provider.Provider{
		"directly":    func(*testing.T) provider.Provider { return manual.Provider{} },
		"as a plugin": func(t *testing.T) provider.Provider { p, _ := plugintest.Open(t, provider.Spec{}); return p },
	} {
		t.Run(how, func(t *testing.T) {
			providertest.RunWithout(t, providertest.Config{Open: open, Init: func(string) provider.Init { return provider.Init{} }})
		})
	}
}

func TestTheUserIsToldWhatToDo(t *testing.T) {
	_, err := manual.Provider{}.Start(t.Context(), provider.StartRequest{Controller: "c", Model: "m", Machine: "3"})
	if err == nil || !strings.Contains(err.Error(), "start machine 3") || !strings.Contains(err.Error(), "add-machine ssh:user@host") {
		t.Errorf("got %v", err)
	}
}
