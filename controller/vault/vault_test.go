package vault

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/grigri/grigri/state"
)

func TestVault(t *testing.T) {
	key := state.Key(bytes.Repeat([]byte{7}, 32))
	v := Of(key, "m", "d0e0f0g0h0i0j0k0l0m0")
	value := state.SecretContent{"password": []byte("correct horse"), "raw": {0, 255}, "none": {}}
	a, b := v.Seal(value), v.Seal(value)
	if bytes.Equal(a.Sealed, b.Sealed) || a.Checksum != b.Checksum {
		t.Error("the same value must look different each time, and have one checksum")
	}
	if bytes.Contains(state.Encode(a), []byte("horse")) {
		t.Error("it is in clear")
	}
	if got, err := v.Open(a); err != nil || !reflect.DeepEqual(got, value) {
		t.Errorf("it opens as %v, %v", got, err)
	}
	if v.Seal(state.SecretContent{"password": []byte("another")}).Checksum == a.Checksum {
		t.Error("two values have one checksum")
	}
	for name, w := range map[string]Vault{
		"another secret":    Of(key, "m", "00000000000000000000"),
		"another model":     Of(key, "n", "d0e0f0g0h0i0j0k0l0m0"),
		"other controllers": Of(bytes.Repeat([]byte{8}, 32), "m", "d0e0f0g0h0i0j0k0l0m0"),
	} {
		if got, err := w.Open(a); err == nil {
			t.Errorf("the vault of %s opens it: %v", name, got)
		}
		if w.Seal(value).Checksum == a.Checksum {
			t.Errorf("the vault of %s has the same checksum: guesses could be tried there", name)
		}
	}
	a.Sealed[len(a.Sealed)-1] ^= 1
	if _, err := v.Open(a); err == nil {
		t.Error("what has been changed is opened")
	}
	if _, err := v.Open(state.SealedSecret{}); err == nil {
		t.Error("nothing is opened")
	}
}
