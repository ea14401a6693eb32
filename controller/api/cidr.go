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

// checkVia refuses networks that a relation's traffic cannot be said to come from.
func checkVia(all []string) error {
	if err := checkCIDRs(all); err != nil {
		return err
	}
	for _, text := range all {
		if p, err := netip.ParsePrefix(text); err == nil && p.Bits() == 0 {
			return invalid(fmt.Sprintf("CIDR %q is everywhere: name the networks that the relation's traffic comes from", text))
		}
	}
	return nil
}
