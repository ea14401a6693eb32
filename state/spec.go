package state

import (
	"context"
	"fmt"

	"github.com/grigri/grigri/provider"
)

// ReadSpec is all that a provider of the place is opened with, the credential in clear.
func ReadSpec(ctx context.Context, r Reader, key Key, place Place) (provider.Spec, error) {
	cloud, err := ReadIf[provider.Cloud](ctx, r, CloudPath(place.Cloud))
	if err != nil {
		return provider.Spec{}, fmt.Errorf("read cloud %q: %w", place.Cloud, err)
	}
	if !cloud.Exists() {
		return provider.Spec{}, &NotFoundError{Kind: "cloud", Name: place.Cloud}
	}
	spec := provider.Spec{Cloud: cloud.Value, Region: place.Region, Credential: provider.Credential{AuthType: provider.AuthEmpty}}
	if place.Credential == "" {
		return spec, nil
	}
	sealed, err := ReadIf[SealedCredential](ctx, r, CredentialPath(place.Cloud, place.Credential))
	if err != nil {
		return spec, fmt.Errorf("read credential %q for cloud %q: %w", place.Credential, place.Cloud, err)
	}
	if !sealed.Exists() {
		return spec, &NotFoundError{Kind: "credential", Name: string(place.Credential)}
	}
	spec.Credential, err = sealed.Value.Open(key, place.Cloud)
	return spec, err
}
