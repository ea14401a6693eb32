package lxd

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
)

// The keys of a cloud's configuration that we understand.
const (
	keyProject       = "project"        // of LXD, in which the machines are
	keyPool          = "pool"           // the storage pool of their disks; else that of the default profile, else the only one
	keyNetwork       = "network"        // the network they are in; else a bridge of ours
	keySubnet        = "subnet"         // the network of our bridge, as a CIDR; else one that is free
	keyProfiles      = "profiles"       // comma-separated profiles that machines have besides
	keySSHAllow      = "ssh-allow"      // comma-separated CIDRs that may reach port 22 over our bridge; empty: none
	keyImage         = "image"          // alias or fingerprint; {name}, {channel} and {arch} are those of the machine
	keyImageServer   = "image-server"   // where images come from that LXD's store does not have; empty: nowhere
	keyImageProtocol = "image-protocol" // what that server speaks: simplestreams, or lxd
	keyImageCert     = "image-cert"     // its certificate in PEM, where no authority has signed that
)

func keys() []string {
	return []string{keyImage, keyImageCert, keyImageProtocol, keyImageServer, keyNetwork, keyPool, keyProfiles, keyProject, keySSHAllow, keySubnet}
}

// The names of a credential's attributes.
const (
	attrCert   = "client-cert"
	attrKey    = "client-key"
	attrServer = "server-cert"
	attrToken  = "trust-token"
)

// The usual image server, and the name that images have there.
const (
	usualServer = "https://images.lxd.canonical.com"
	usualImage  = "{name}/{channel}/cloud"
)

// settings is a cloud's configuration.
type settings struct {
	project, pool, network            string
	subnet                            netip.Prefix
	profiles                          []string
	sshAllow                          []string
	image, imageServer, imageProtocol string
	imageCert                         string   // PEM
	unknown                           []string // keys that mean nothing to us
}

func readSettings(c map[string]string) (settings, error) {
	s := settings{project: c[keyProject], pool: c[keyPool], network: c[keyNetwork], profiles: list(c[keyProfiles]), image: c[keyImage], imageCert: c[keyImageCert],
		imageServer: usualServer, imageProtocol: "simplestreams", sshAllow: []string{"0.0.0.0/0"}}
	if server, ok := c[keyImageServer]; ok {
		s.imageServer = server
	}
	if protocol := c[keyImageProtocol]; protocol != "" {
		s.imageProtocol = protocol
	}
	if s.imageProtocol != "simplestreams" && s.imageProtocol != "lxd" {
		return s, fmt.Errorf("%s is %q, and must be simplestreams or lxd", keyImageProtocol, s.imageProtocol)
	}
	if s.imageServer != "" && !strings.HasPrefix(s.imageServer, "https://") {
		return s, fmt.Errorf("%s is %q, and must begin with https://", keyImageServer, s.imageServer)
	}
	if s.imageCert != "" {
		if block, _ := pem.Decode([]byte(s.imageCert)); block == nil || block.Type != "CERTIFICATE" {
			return s, fmt.Errorf("%s must be the certificate of %s, in PEM: it begins with -----BEGIN CERTIFICATE-----", keyImageCert, s.imageServer)
		}
	}
	if allow, ok := c[keySSHAllow]; ok {
		s.sshAllow = list(allow)
	}
	for _, cidr := range s.sshAllow {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			return s, fmt.Errorf("%s: %q is no CIDR, such as 192.0.2.0/24", keySSHAllow, cidr)
		}
	}
	if text := c[keySubnet]; text != "" {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || !prefix.Addr().Is4() || prefix.Bits() > 29 {
			return s, fmt.Errorf("%s is %q, and must be an IPv4 network with room for machines, such as 10.20.30.0/24", keySubnet, text)
		}
		s.subnet = prefix.Masked()
	}
	for _, key := range slices.Sorted(maps.Keys(c)) {
		if !slices.Contains(keys(), key) {
			s.unknown = append(s.unknown, key)
		}
	}
	return s, nil
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// refuse is an error for what can never be had.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), provider.ErrRefused)
}
