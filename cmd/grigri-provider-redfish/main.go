// Command grigri-provider-redfish is the provider of clouds of type redfish, as a plugin.
package main

import (
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin"
	"github.com/grigri/grigri/provider/redfish"
)

func main() {
	plugin.Serve(func(s provider.Spec) (provider.Provider, error) { return redfish.Open(s) })
}
