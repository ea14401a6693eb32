package all

import (
	"slices"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/ec2"
)

// An Auth is a way to prove oneself to clouds of a type, with what a user must give for it.
type Auth struct {
	Type       string
	Attributes []Attribute
}

// An Attribute is one thing of a credential.
type Attribute struct {
	Name, Description string
	Secret            bool // is shown only to those who insist
	Optional          bool
	File              bool // what users give is the name of a file, or its content
}

// Auths is the ways for a type of cloud, the usual one first. A type that is not known has none.
func Auths(kind string) []Auth {
	switch kind {
	case "ec2":
		return []Auth{
			{ec2.AuthAccessKey, []Attribute{{Name: "access-key", Description: "the access key's ID"}, {Name: "secret-key", Description: "the secret key", Secret: true},
				{Name: "session-token", Description: "the token of a temporary key", Secret: true, Optional: true}}},
			{ec2.AuthInstanceRole, nil},
			{ec2.AuthProfile, []Attribute{{Name: "profile", Description: "the profile, in the shared files of Amazon's tools on the controller's host"}}},
			{provider.AuthEmpty, nil},
		}
	case "lxd":
		return []Auth{
			{provider.AuthEmpty, nil},
			{"certificate", []Attribute{{Name: "client-cert", Description: "the client's certificate (PEM)", File: true},
				{Name: "client-key", Description: "the certificate's key (PEM)", Secret: true, File: true},
				{Name: "server-cert", Description: "the server's certificate (PEM), if no authority that is trusted here has issued it", Optional: true, File: true}}},
			{"interactive", []Attribute{{Name: "trust-token", Description: "a token made with \"lxc config trust add\"", Secret: true}}},
		}
	case "local", "manual":
		return []Auth{{provider.AuthEmpty, nil}}
	}
	return nil
}

// Public is the attributes of a credential that may be shown. Of one that is not known it is none.
func Public(kind string, c provider.Credential) map[string]string {
	out := map[string]string{}
	for _, a := range Auths(kind) {
		if a.Type != c.AuthType {
			continue
		}
		for _, attribute := range a.Attributes {
			if v, ok := c.Attributes[attribute.Name]; ok && !attribute.Secret {
				out[attribute.Name] = v
			}
		}
	}
	return out
}

// AuthTypes is the names of the ways.
func AuthTypes(kind string) []string {
	var out []string
	for _, a := range Auths(kind) {
		out = append(out, a.Type)
	}
	return slices.Clip(out)
}
