package userapi

// Keys that a model's machines let in over ssh.
const (
	SSHKeysRoute       = "GET /v1/models/{model}/ssh-keys"   // -> []SSHKey
	ChangeSSHKeysRoute = "PATCH /v1/models/{model}/ssh-keys" // ChangeSSHKeys -> Warnings
)

// An SSHKey is a public key.
type SSHKey struct {
	Key         string `json:"key"` // as a line of authorized_keys
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment,omitempty"`
}

// ChangeSSHKeys removes keys, by fingerprint, by comment or whole, and then adds keys.
type ChangeSSHKeys struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}
