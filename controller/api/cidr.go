package api

import (
	"fmt"
	"net/netip"
)

func checkCIDRs(all []string) error {
	for _, text := range all {
		if _, err := netip.ParsePrefix(text); err != nil {
			return invalid(fmt.Sprintf("%q is not a CIDR such as 10.0.0.0/8", text))
		}
	}
	return nil
}
