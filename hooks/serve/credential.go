package serve

import (
	"context"
	"errors"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/yamltext"
)

func credentialTools() []tool {
	return []tool{{
		name:    "credential-get",
		summary: "Print how the cloud of the model is reached, with its credential.",
		details: "Only applications that the user trusts may ask: see the commands \"deploy --trust\" and \"trust\".",
		format:  smart,
		run:     credentialGet,
	}}
}

func credentialGet(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(0); err != nil {
		return nil, err
	}
	spec, err := c.read.Credential(ctx)
	if errors.Is(err, hooks.ErrDenied) {
		return nil, errors.New("cannot access cloud credentials: permission denied")
	}
	if err != nil {
		return nil, err
	}
	return cloudFields(spec), nil
}

// cloudFields is the cloud in the contract's words. What is empty is left out, but for the credential.
func cloudFields(s hooks.CloudSpec) yamltext.Fields {
	f := yamltext.Fields{{Name: "type", Value: s.Type}, {Name: "name", Value: s.Name}}
	add := func(name, value string) {
		if value != "" {
			f = append(f, yamltext.Field{Name: name, Value: value})
		}
	}
	add("region", s.Region)
	add("endpoint", s.Endpoint)
	credential := yamltext.Fields{{Name: "auth-type", Value: s.AuthType}}
	if len(s.Attributes) > 0 {
		credential = append(credential, yamltext.Field{Name: "attrs", Value: s.Attributes})
	}
	f = append(f, yamltext.Field{Name: "credential", Value: credential})
	if len(s.CACertificates) > 0 {
		f = append(f, yamltext.Field{Name: "cacertificates", Value: s.CACertificates})
	}
	return append(f, yamltext.Field{Name: "is-controller-cloud", Value: s.ControllerCloud})
}
