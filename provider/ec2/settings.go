package ec2

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
)

// The keys of a cloud's configuration that we understand.
const (
	keyVPC        = "vpc-id"      // where machines are; the region's default VPC if empty
	keySubnets    = "subnets"     // comma-separated ids: machines are in no others
	keySSHAllow   = "ssh-allow"   // comma-separated CIDRs that may reach port 22; empty: none
	keyImageOwner = "image-owner" // the account whose images are used, with image-name
	keyImageName  = "image-name"  // the pattern of their names; {name}, {channel} and {arch} are those of the machine
	keyVolumeType = "volume-type" // of disks for which no type is asked for
)

func keys() []string {
	return []string{keyImageName, keyImageOwner, keySSHAllow, keySubnets, keyVolumeType, keyVPC}
}

// settings is a cloud's configuration.
type settings struct {
	vpc                   string
	subnets, sshAllow     []string
	imageOwner, imageName string
	volumeType            string
	unknown               []string // keys that mean nothing to us
}

func readSettings(c map[string]string) (settings, error) {
	s := settings{vpc: c[keyVPC], subnets: list(c[keySubnets]), imageOwner: c[keyImageOwner], imageName: c[keyImageName], volumeType: c[keyVolumeType],
		sshAllow: []string{"0.0.0.0/0", "::/0"}}
	if s.volumeType == "" {
		s.volumeType = "gp3"
	}
	if text, ok := c[keySSHAllow]; ok {
		s.sshAllow = list(text)
	}
	if _, err := prefixes(s.sshAllow); err != nil {
		return s, fmt.Errorf("%s: %w", keySSHAllow, err)
	}
	if (s.imageOwner == "") != (s.imageName == "") {
		return s, fmt.Errorf("%s and %s belong together", keyImageOwner, keyImageName)
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

// prefixes reads CIDRs, as EC2 writes them: without bits below the mask.
func prefixes(cidrs []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range cidrs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no CIDR, such as 192.0.2.0/24: %w", text, provider.ErrRefused)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}
