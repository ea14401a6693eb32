package provider

import "context"

// A Relocator is a Provider that may have been opened with what is good on this host alone, such as a socket of it.
type Relocator interface {
	// Relocate returns what the controller, on an instance of the same cloud, opens the provider with. It may make a credential for that,
	// each time another one.
	Relocate(ctx context.Context, controller string) (Spec, error)
	// Forget makes useless what Relocate has made for the controller, when that and all its instances are no more, and takes away what
	// else is left of it, but for volumes.
	Forget(ctx context.Context, controller string) error
}
