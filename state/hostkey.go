package state

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// MaxHostKeys is how many keys a machine may be known by.
const MaxHostKeys = 8

// maxHostKey is the longest line of a key: one of RSA with 16384 bits.
const maxHostKey = 3000

// hostKeyTypes is what sshd has by default.
var hostKeyTypes = []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}

// ParseHostKey is the public key in a line such as /etc/ssh/ssh_host_ed25519_key.pub has, "ssh-ed25519 AAAA", without its comment.
func ParseHostKey(line string) (string, error) {
	f := strings.Fields(line)
	if len(f) < 2 || !slices.Contains(hostKeyTypes, f[0]) || len(line) > maxHostKey {
		return "", fmt.Errorf("%.40q is no public key of a host: expected \"ssh-ed25519 AAAA...\"", line)
	}
	blob, err := base64.StdEncoding.DecodeString(f[1])
	if err != nil || len(blob) < 4 {
		return "", fmt.Errorf("%.40q is no public key of a host: it is not whole", line)
	}
	if n := uint64(binary.BigEndian.Uint32(blob)); n != uint64(len(f[0])) || uint64(len(blob)) <= 4+n || string(blob[4:4+n]) != f[0] {
		return "", fmt.Errorf("%.40q is no public key of a host: it is not of the kind that it says", line)
	}
	return f[0] + " " + f[1], nil
}

// HostKeys is what a machine can be known by over ssh: what its user has seen when he added it, and what its agent says. What is no key is
// none of it: root of the machine writes the report.
func HostKeys(m Machine, r MachineReport) []string {
	var out []string
	for _, line := range slices.Concat(m.HostKeys, r.HostKeys[:min(len(r.HostKeys), MaxHostKeys)]) {
		if key, err := ParseHostKey(line); err == nil && !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}
