// Package vault seals the values of secrets and opens them again. Only controllers can: the key of each secret comes from theirs,
// which is never in the tree.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/grigri/grigri/state"
)

// A Vault holds the values of one secret.
type Vault struct {
	id    state.SecretID
	seal  cipher.AEAD
	check []byte // the key of checksums
}

// Of is the vault of a secret of the model. The same key, model and id give the same vault for ever, and no other opens what it has sealed.
func Of(key state.Key, m state.ModelID, id state.SecretID) Vault {
	derive := func(use string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte("grigri secret " + use + "\x00" + string(m) + "\x00" + string(id)))
		return h.Sum(nil)
	}
	block, err := aes.NewCipher(derive("value"))
	if err != nil {
		panic(err) // the key has the right length
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return Vault{id, seal, derive("checksum")}
}

// Seal is the value as it may lie in the tree.
func (v Vault) Seal(value state.SecretContent) state.SealedSecret {
	plain := pack(value)
	nonce := make([]byte, v.seal.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	h := hmac.New(sha256.New, v.check)
	h.Write(plain)
	return state.SealedSecret{Sealed: v.seal.Seal(nonce, nonce, plain, nil), Checksum: hex.EncodeToString(h.Sum(nil))}
}

// Open is the value that Seal has sealed. Its error says nothing of the value.
func (v Vault) Open(s state.SealedSecret) (state.SecretContent, error) {
	n := v.seal.NonceSize()
	if len(s.Sealed) < n {
		return nil, fmt.Errorf("open %s: what is sealed is too short", v.id.URI())
	}
	plain, err := v.seal.Open(nil, s.Sealed[:n], s.Sealed[n:], nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: it was not sealed with the key of these controllers: %w", v.id.URI(), err)
	}
	value, ok := unpack(plain)
	if !ok {
		return nil, fmt.Errorf("open %s: what was sealed is no secret", v.id.URI())
	}
	return value, nil
}

// pack is the value as bytes: keys in order, each followed by what it holds, each with its length before it. The same value is the same bytes.
func pack(value state.SecretContent) []byte {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(value)) {
		for _, part := range [][]byte{[]byte(key), value[key]} {
			b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
		}
	}
	return b
}

func unpack(b []byte) (state.SecretContent, bool) {
	value, key, isValue := state.SecretContent{}, "", false
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, false
		}
		part := b[size : size+int(n)]
		if b = b[size+int(n):]; isValue {
			value[key] = part
		} else {
			key = string(part)
		}
		isValue = !isValue
	}
	return value, !isValue
}
