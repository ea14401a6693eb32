package state

import (
	"slices"
	"strings"
	"testing"
)

func TestSSHKeysAreNamedInManyWays(t *testing.T) {
	const blob = "AAAAC3NzaC1lZDI1NTE5AAAAIKnS1ZOjYkQ1uK4YxMVkXcN8cxaCAa3EY1o1dQ7hGJpd"
	k, err := ParseSSHKey("  ssh-ed25519  " + blob + "  ann at\tdesk \n")
	if err != nil || k.String() != "ssh-ed25519 "+blob+" ann at desk" {
		t.Fatalf("%q, %v", k, err)
	}
	for _, name := range []string{"ann at desk", k.Key, k.Key + " another comment", k.Fingerprint(), k.oldFingerprint(), "MD5:" + k.oldFingerprint()} {
		if !k.is(name) {
			t.Errorf("it is not %q", name)
		}
	}
	if unnamed := (SSHKey{Key: k.Key}); k.is("") || unnamed.is("") || k.is("ann") {
		t.Error("it has names that are none")
	}
	if len(strings.Split(k.oldFingerprint(), ":")) != 16 || len(k.Fingerprint()) != 50 {
		t.Errorf("fingerprints %s, %s", k.oldFingerprint(), k.Fingerprint())
	}
	for _, bad := range []string{"", "ann", "ssh-ed25519", "ssh-ed25519 AAAA", k.Key + "\n" + k.Key, k.Key + " a\x00b", `command="x" ` + k.Key} {
		if k, err := ParseSSHKey(bad); err == nil {
			t.Errorf("%q is the key %v", bad, k)
		}
	}
	if got := SSHKeys(ModelConfig{sshKeysSetting: k.String() + "\nnonsense\n"}); !slices.Equal(got, []SSHKey{k}) {
		t.Errorf("the model has %v", got)
	}
}
