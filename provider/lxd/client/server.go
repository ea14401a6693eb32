package client

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// A Server is what LXD says of itself.
type Server struct {
	APIExtensions []string          `json:"api_extensions"`
	Auth          string            `json:"auth"` // trusted or untrusted
	Config        map[string]any    `json:"config"`
	Environment   ServerEnvironment `json:"environment"`

	Date time.Time `json:"-"` // of the answer, by the server's clock
}

// A ServerEnvironment is what LXD says of its host.
type ServerEnvironment struct {
	Addresses              []string `json:"addresses"`
	Architectures          []string `json:"architectures"` // in the kernel's words: x86_64
	Certificate            string   `json:"certificate"`
	CertificateFingerprint string   `json:"certificate_fingerprint"`
	Driver                 string   `json:"driver"` // lxc | qemu
	Firewall               string   `json:"firewall"`
	ServerClustered        bool     `json:"server_clustered"`
	ServerName             string   `json:"server_name"`
	ServerVersion          string   `json:"server_version"`
}

// HasExtension says whether the server has an extension of the API.
func (s *Server) HasExtension(name string) bool { return slices.Contains(s.APIExtensions, name) }

// GetServer returns what the server says of itself: to who is not trusted, little.
func (s *InstanceServer) GetServer(ctx context.Context) (*Server, string, error) {
	var server Server
	a, err := s.query(ctx, http.MethodGet, "/1.0", nil, "", &server)
	server.Date = a.date
	return &server, a.etag, err
}

// PatchServer sets some keys of the server's configuration.
func (s *InstanceServer) PatchServer(ctx context.Context, config map[string]any) error {
	_, err := s.query(ctx, http.MethodPatch, "/1.0", map[string]any{"config": config}, "", nil)
	return err
}

// Resources is what the server's host has.
type Resources struct {
	CPU struct {
		Total int `json:"total"`
	} `json:"cpu"`
	Memory struct {
		Total int64 `json:"total"`
		Used  int64 `json:"used"`
	} `json:"memory"`
}

// GetServerResources returns what the server's host has.
func (s *InstanceServer) GetServerResources(ctx context.Context) (*Resources, error) {
	var r Resources
	_, err := s.query(ctx, http.MethodGet, path("resources"), nil, "", &r)
	return &r, err
}

// CertificatesPost asks that a certificate be trusted.
type CertificatesPost struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Certificate string `json:"certificate,omitempty"` // DER in base64; "" is the one that the connection shows
	Password    string `json:"password,omitempty"`    // the token, or the password, that who is not trusted yet must have
}

// CreateCertificate has the server trust a certificate.
func (s *InstanceServer) CreateCertificate(ctx context.Context, post CertificatesPost) error {
	_, err := s.query(ctx, http.MethodPost, path("certificates"), post, "", nil)
	return err
}

// A Certificate is one that the server trusts.
type Certificate struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

// GetCertificates returns all that the server trusts.
func (s *InstanceServer) GetCertificates(ctx context.Context) ([]Certificate, error) {
	var all []Certificate
	_, err := s.query(ctx, http.MethodGet, path("certificates")+"?recursion=1", nil, "", &all)
	return all, err
}

// DeleteCertificate ends that.
func (s *InstanceServer) DeleteCertificate(ctx context.Context, fingerprint string) error {
	_, err := s.query(ctx, http.MethodDelete, path("certificates", fingerprint), nil, "", nil)
	return err
}

// A ClusterMember is one of the servers of a cluster.
type ClusterMember struct {
	ServerName    string   `json:"server_name"`
	URL           string   `json:"url"`
	Status        string   `json:"status"` // Online, Offline, Evacuated
	Message       string   `json:"message"`
	Architecture  string   `json:"architecture"`
	FailureDomain string   `json:"failure_domain"`
	Groups        []string `json:"groups"`
}

// GetClusterMembers returns the servers of the cluster.
func (s *InstanceServer) GetClusterMembers(ctx context.Context) ([]ClusterMember, error) {
	var all []ClusterMember
	_, err := s.query(ctx, http.MethodGet, path("cluster", "members")+"?recursion=1", nil, "", &all)
	return all, err
}

// GetProject says whether there is a project of this name.
func (s *InstanceServer) GetProject(ctx context.Context, name string) error {
	_, err := s.query(ctx, http.MethodGet, path("projects", name), nil, "", nil)
	return err
}
