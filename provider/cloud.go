package provider

// A Cloud is a place where machines can be had, as users add it.
type Cloud struct {
	Name           string            `json:"name"`
	Type           string            `json:"type"` // which provider: "lxd", "ec2", "manual", "local", or the name of a plugin
	Description    string            `json:"description,omitempty"`
	Endpoint       string            `json:"endpoint,omitempty"`
	AuthTypes      []string          `json:"authTypes,omitempty"`
	Regions        []Region          `json:"regions,omitempty"` // the first is the default
	Config         map[string]string `json:"config,omitempty"`  // what else the provider understands
	CACertificates []string          `json:"caCertificates,omitempty"`
	PluginHash     string            `json:"pluginHash,omitempty"` // SHA-256 of the plugin's executable, hex, pinned when the cloud was added
}

// A Region is a part of a cloud.
type Region struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint,omitempty"` // instead of the cloud's
}

// A Credential is what proves to a cloud who we are. Its attributes are secrets.
type Credential struct {
	Name       string            `json:"name"`
	AuthType   string            `json:"authType"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// AuthEmpty is how one proves himself to a cloud that asks for nothing.
const AuthEmpty = "empty"

// A Spec is all that a provider is opened with: one region of one cloud, as one user.
type Spec struct {
	Cloud      Cloud      `json:"cloud"`
	Region     string     `json:"region,omitempty"`
	Credential Credential `json:"credential"`
}

// Endpoint is that of the region, or of the cloud.
func (s Spec) Endpoint() string {
	for _, r := range s.Cloud.Regions {
		if r.Name == s.Region && r.Endpoint != "" {
			return r.Endpoint
		}
	}
	return s.Cloud.Endpoint
}
