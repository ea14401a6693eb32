package state

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// sshKeysSetting is the setting of a model with the keys, one a line, that its machines let in over ssh.
const sshKeysSetting = "authorized-keys"

// maxSSHKeys is the length of all keys of a model: they are in one node with its settings.
const maxSSHKeys = 64 << 10

// An SSHKey is a public key whose owner is let in.
type SSHKey struct {
	Key     string // "ssh-ed25519 AAAA..."
	Comment string
}

// ParseSSHKey reads a line such as id_ed25519.pub has. Options, as authorized_keys may have them, are refused.
func ParseSSHKey(line string) (SSHKey, error) {
	line = strings.TrimSpace(line)
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return SSHKey{}, fmt.Errorf("%.40q is not one line", line)
	}
	key, err := ParseHostKey(line)
	if err != nil {
		return SSHKey{}, fmt.Errorf("%.40q is no public key: expected \"ssh-ed25519 AAAA... comment\", as in ~/.ssh/id_ed25519.pub", line)
	}
	return SSHKey{Key: key, Comment: strings.Join(strings.Fields(line)[2:], " ")}, nil
}

// String is the line of authorized_keys.
func (k SSHKey) String() string { return strings.TrimSpace(k.Key + " " + k.Comment) }

// Fingerprint is what ssh-keygen -l shows.
func (k SSHKey) Fingerprint() string {
	sum := sha256.Sum256(k.blob())
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// oldFingerprint is what ssh-keygen -l -E md5 shows, without the kind.
func (k SSHKey) oldFingerprint() string {
	sum := md5.Sum(k.blob())
	digits := hex.EncodeToString(sum[:])
	var parts []string
	for i := 0; i < len(digits); i += 2 {
		parts = append(parts, digits[i:i+2])
	}
	return strings.Join(parts, ":")
}

func (k SSHKey) blob() []byte {
	_, text, _ := strings.Cut(k.Key, " ")
	blob, _ := base64.StdEncoding.DecodeString(text) // it has been parsed
	return blob
}

// is says whether the text names the key: as a fingerprint, by its comment, or as a whole.
func (k SSHKey) is(text string) bool {
	if other, err := ParseSSHKey(text); err == nil {
		return other.Key == k.Key
	}
	return text == k.Fingerprint() || strings.TrimPrefix(text, "MD5:") == k.oldFingerprint() || text == k.Comment && text != ""
}

// SSHKeys is the keys that the machines of a model with these settings let in.
func SSHKeys(c ModelConfig) []SSHKey {
	var out []SSHKey
	for line := range strings.Lines(c[sshKeysSetting]) {
		if k, err := ParseSSHKey(line); err == nil {
			out = append(out, k)
		}
	}
	return out
}

// ChangeSSHKeys removes keys, which are named by fingerprint, comment or themselves, and adds keys. Problems says of each that cannot be why not.
func ChangeSSHKeys(ctx context.Context, r Reader, m ModelID, by By, add, remove []string) (t Txn, problems []string, err error) {
	rec, err := Read[ModelConfig](ctx, r, m.ConfigPath())
	if err != nil {
		return t, nil, missing(err, "model", string(m))
	}
	had := SSHKeys(rec.Value)
	now := slices.Clone(had)
	var done []string
	for _, text := range remove {
		n := len(now)
		now = slices.DeleteFunc(now, func(k SSHKey) bool { return k.is(text) })
		if len(now) == n {
			problems = append(problems, fmt.Sprintf("cannot remove key id %q: there is no such key", text))
			continue
		}
		done = append(done, text)
	}
	for _, text := range add {
		k, err := ParseSSHKey(text)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("cannot add key: %v", err))
		case slices.ContainsFunc(now, func(o SSHKey) bool { return o.Key == k.Key }):
			problems = append(problems, fmt.Sprintf("cannot add key %s: it is there already", k.Fingerprint()))
		default:
			now = append(now, k)
			done = append(done, k.Fingerprint())
		}
	}
	if slices.Equal(had, now) {
		return t, problems, nil
	}
	config := maps.Clone(rec.Value)
	if config == nil {
		config = ModelConfig{}
	}
	var lines strings.Builder
	for _, k := range now {
		fmt.Fprintln(&lines, k)
	}
	if lines.Len() > maxSSHKeys {
		return t, nil, invalid("the keys of a model may have %d bytes together, and these have %d", maxSSHKeys, lines.Len())
	}
	config[sshKeysSetting] = lines.String()
	if lines.Len() == 0 {
		delete(config, sshKeysSetting)
	}
	t.Set(m.ConfigPath(), config, rec.Version)
	by.record(&t, m, "ssh-keys", keys(done))
	return t, problems, nil
}
