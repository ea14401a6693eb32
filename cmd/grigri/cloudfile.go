package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/grigri/grigri/internal/userfile"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/state"
)

// The files of clouds and credentials, in juju's form.
type (
	cloudsFile struct {
		Clouds map[string]*cloudEntry `yaml:"clouds"`
	}
	cloudEntry struct {
		Name           string            `yaml:"name,omitempty"`
		Type           string            `yaml:"type"`
		Description    string            `yaml:"description,omitempty"`
		AuthTypes      []string          `yaml:"auth-types,omitempty,flow"`
		Endpoint       string            `yaml:"endpoint,omitempty"`
		Regions        regionList        `yaml:"regions,omitempty"`
		Config         map[string]string `yaml:"config,omitempty"`
		CACertificates []string          `yaml:"ca-certificates,omitempty"`
		PluginHash     string            `yaml:"plugin-hash,omitempty"`
		Unused         map[string]any    `yaml:",inline"` // of juju's keys, those that mean nothing to us
	}
	regionList []provider.Region

	credentialsFile struct {
		Credentials map[string]*cloudCredentials `yaml:"credentials"`
	}
	cloudCredentials struct {
		DefaultCredential string                       `yaml:"default-credential,omitempty"`
		DefaultRegion     string                       `yaml:"default-region,omitempty"`
		Credentials       map[string]map[string]string `yaml:",inline"` // by name: auth-type and the attributes
	}
)

// UnmarshalYAML keeps the order of the regions: the first is the default.
func (l *regionList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return errors.New("expected names of regions, each with an endpoint or nothing")
	}
	*l = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		var r struct {
			Endpoint string `yaml:"endpoint"`
		}
		if err := n.Content[i+1].Decode(&r); err != nil {
			return fmt.Errorf("region %s: expected an endpoint or nothing", n.Content[i].Value)
		}
		*l = append(*l, provider.Region{Name: n.Content[i].Value, Endpoint: r.Endpoint})
	}
	return nil
}

// MarshalYAML is the opposite of UnmarshalYAML.
func (l regionList) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, r := range l {
		v := map[string]string{}
		if r.Endpoint != "" {
			v["endpoint"] = r.Endpoint
		}
		var value yaml.Node
		if err := value.Encode(v); err != nil {
			return nil, err
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: r.Name}, &value)
	}
	return n, nil
}

// unusedKeys is juju's keys of a cloud that we read and have no use for.
var unusedKeys = []string{"identity-endpoint", "storage-endpoint", "host-cloud-region", "region-config", "skip-tls-verify"}

func (e *cloudEntry) cloud(name string) (provider.Cloud, error) {
	c := provider.Cloud{Name: name, Type: e.Type, Description: e.Description, AuthTypes: e.AuthTypes, Endpoint: e.Endpoint, Regions: e.Regions,
		Config: e.Config, CACertificates: e.CACertificates, PluginHash: e.PluginHash}
	for _, key := range slices.Sorted(maps.Keys(e.Unused)) {
		if !slices.Contains(unusedKeys, key) {
			return c, fmt.Errorf("cloud %q: unknown key %q", name, key)
		}
	}
	if e.Name != "" && e.Name != name {
		return c, fmt.Errorf("cloud %q is called %q inside", name, e.Name)
	}
	return c, state.CheckCloud(c)
}

func entryOf(c provider.Cloud) *cloudEntry {
	return &cloudEntry{Type: c.Type, Description: c.Description, AuthTypes: c.AuthTypes, Endpoint: c.Endpoint, Regions: c.Regions, Config: c.Config,
		CACertificates: c.CACertificates, PluginHash: c.PluginHash}
}

// readFile is the content of a file, or of stdin for "-".
func (c *cli) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(path)
}

// cloudIn is the definition of the cloud in a file. A file of one cloud may leave out "clouds:" and the name.
func (c *cli) cloudIn(path, name string) (provider.Cloud, error) {
	data, err := c.readFile(path)
	if err != nil {
		return provider.Cloud{}, fmt.Errorf("read the definition of cloud %q: %w", name, err)
	}
	var f cloudsFile
	if err := userfile.YAML(path, data, &f); err != nil {
		return provider.Cloud{}, fmt.Errorf("read the definition of cloud %q: %w", name, err)
	}
	if f.Clouds == nil {
		var one cloudEntry
		if err := userfile.YAML(path, data, &one); err != nil {
			return provider.Cloud{}, fmt.Errorf("read the definition of cloud %q: %w", name, err)
		}
		if one.Type == "" {
			return provider.Cloud{}, fmt.Errorf("%s defines no cloud: expected \"clouds:\" and below it %q", path, name)
		}
		return one.cloud(name)
	}
	e := f.Clouds[name]
	if e == nil {
		return provider.Cloud{}, fmt.Errorf("cloud %q not found in %s: it defines %s", name, path, strings.Join(slices.Sorted(maps.Keys(f.Clouds)), ", "))
	}
	return e.cloud(name)
}

// credentialsIn is the credentials for the cloud in a file, by name.
func (c *cli) credentialsIn(path, cloud string) (*cloudCredentials, error) {
	data, err := c.readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read credentials for cloud %q: %w", cloud, err)
	}
	var f credentialsFile
	if err := userfile.YAML(path, data, &f); err != nil {
		return nil, fmt.Errorf("read credentials for cloud %q: %w", cloud, err)
	}
	e := f.Credentials[cloud]
	if e == nil || len(e.Credentials) == 0 {
		return nil, fmt.Errorf("%s has no credentials for cloud %q", path, cloud)
	}
	for name := range e.Credentials {
		if err := state.CheckCredential(e.get(name)); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// get is the credential of this name.
func (e *cloudCredentials) get(name string) provider.Credential {
	c := provider.Credential{Name: name, Attributes: map[string]string{}}
	for k, v := range e.Credentials[name] {
		if k == "auth-type" {
			c.AuthType = v
		} else {
			c.Attributes[k] = v
		}
	}
	return c
}

// put keeps the credential.
func (e *cloudCredentials) put(c provider.Credential) {
	if e.Credentials == nil {
		e.Credentials = map[string]map[string]string{}
	}
	v := maps.Clone(c.Attributes)
	if v == nil {
		v = map[string]string{}
	}
	v["auth-type"] = c.AuthType
	e.Credentials[c.Name] = v
}

// credentialsFor is the client's credentials for a cloud; it is there after the call.
func (b *book) credentialsFor(cloud string) *cloudCredentials {
	e := b.credentials.Credentials[cloud]
	if e == nil {
		e = &cloudCredentials{}
		b.credentials.Credentials[cloud] = e
	}
	return e
}
