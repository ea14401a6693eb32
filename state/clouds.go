package state

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/grigri/grigri/provider"
)

// CloudsPath is the directory of the clouds that the controllers know. Controllers alone may read what is in it.
const CloudsPath = "/clouds"

// CloudPath is where a provider.Cloud is.
func CloudPath(name string) string { return CloudsPath + "/" + name }

// CredentialPath is where a SealedCredential of the cloud is.
func CredentialPath(cloud string, c CredentialName) string {
	return CloudPath(cloud) + "/" + strings.ReplaceAll(string(c), "/", "+")
}

// A CredentialName is a user and his name for a credential: admin/work. The same user may use the name in each cloud.
type CredentialName string

// NewCredentialName is the name of a user's credential.
func NewCredentialName(owner, name string) CredentialName { return CredentialName(owner + "/" + name) }

// Split is whose it is, and his name for it.
func (c CredentialName) Split() (owner, name string) {
	owner, name, _ = strings.Cut(string(c), "/")
	return owner, name
}

// A Place is where the machines of a model are, and as whom they are asked for.
type Place struct {
	Cloud      string
	Region     string
	Credential CredentialName // empty: the cloud asks for nothing
}

// String is the place as logs name it.
func (p Place) String() string {
	text := p.Cloud
	if p.Region != "" {
		text += "/" + p.Region
	}
	if p.Credential != "" {
		text += " as " + string(p.Credential)
	}
	return text
}

// Place is where the model's machines are.
func (m Model) Place() Place { return Place{m.Cloud, m.Region, m.Credential} }

// A SealedCredential is a provider.Credential in the tree. What it says is sealed with the controllers' key.
type SealedCredential struct {
	Owner      string    `json:"owner"`
	Name       string    `json:"name"`
	AuthType   string    `json:"authType"`
	Attributes []byte    `json:"attributes"` // sealed
	Updated    time.Time `json:"updated"`
}

// SealCredential is the credential as it lies in the tree.
func SealCredential(key Key, cloud, owner string, c provider.Credential, now time.Time) SealedCredential {
	return SealedCredential{Owner: owner, Name: c.Name, AuthType: c.AuthType, Updated: now,
		Attributes: key.Seal(CredentialPath(cloud, NewCredentialName(owner, c.Name)), Encode(c.Attributes))}
}

// Open is the credential in clear.
func (s SealedCredential) Open(key Key, cloud string) (provider.Credential, error) {
	c := provider.Credential{Name: s.Name, AuthType: s.AuthType}
	text, err := key.Open(CredentialPath(cloud, NewCredentialName(s.Owner, s.Name)), s.Attributes)
	if err == nil {
		err = json.Unmarshal(text, &c.Attributes)
	}
	if err != nil {
		return c, fmt.Errorf("read credential %q of %s for cloud %q: %w", s.Name, s.Owner, cloud, err)
	}
	return c, nil
}

var (
	cloudName      = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)
	credentialName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._@-]*$`)
)

// IsCloudName says whether a cloud can have this name.
func IsCloudName(name string) bool { return cloudName.MatchString(name) }

// CheckCloud says what is wrong with the definition of a cloud, whatever its provider.
func CheckCloud(c provider.Cloud) error {
	if !cloudName.MatchString(c.Name) {
		return invalid("%q is not a valid name for a cloud: use letters, digits, dots, hyphens and underscores", c.Name)
	}
	if c.Type == "" {
		return invalid("cloud %q has no type", c.Name)
	}
	seen := map[string]bool{}
	for _, r := range c.Regions {
		if r.Name == "" || strings.ContainsAny(r.Name, "/ \n") || seen[r.Name] {
			return invalid("cloud %q: %q is not a valid name for a region, or is there twice", c.Name, r.Name)
		}
		seen[r.Name] = true
	}
	return nil
}

// CheckCredential says what is wrong with a credential, whatever its provider.
func CheckCredential(c provider.Credential) error {
	if !credentialName.MatchString(c.Name) {
		return invalid("%q is not a valid name for a credential: use letters, digits, dots, hyphens and underscores", c.Name)
	}
	if c.AuthType == "" {
		return invalid("credential %q has no auth-type", c.Name)
	}
	return nil
}

// RegionOf is the region of the cloud that is asked for; the first, if none is.
func RegionOf(c provider.Cloud, region string) (string, error) {
	if region == "" {
		if len(c.Regions) > 0 {
			return c.Regions[0].Name, nil
		}
		return "", nil
	}
	var names []string
	for _, r := range c.Regions {
		if r.Name == region {
			return region, nil
		}
		names = append(names, r.Name)
	}
	if len(names) == 0 {
		return "", invalid("cloud %q has no regions, so none is %q", c.Name, region)
	}
	return "", invalid("cloud %q has no region %q: its regions are %s", c.Name, region, strings.Join(names, ", "))
}
