package state

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Seal encrypts what is to lie in the tree and to be read by controllers alone. What it is for binds it to its place: sealed for
// one purpose it cannot be opened for another. The same text sealed for the same purpose is always the same, so that an edit is a pure
// function; nobody but the controllers can read the nodes, and who could would learn only whether a text has changed.
func (k Key) Seal(purpose string, text []byte) []byte {
	aead := k.sealer()
	nonce := k.derive("nonce", append([]byte(purpose+"\x00"), text...))[:aead.NonceSize()]
	return aead.Seal(nonce, nonce, text, []byte(purpose))
}

// Open is the text that Seal has sealed for the purpose.
func (k Key) Open(purpose string, sealed []byte) ([]byte, error) {
	aead := k.sealer()
	if len(sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("unseal %s: %w", purpose, errSealed)
	}
	text, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("unseal %s: %w", purpose, errSealed)
	}
	return text, nil
}

var errSealed = errors.New("it was not sealed with the key of these controllers")

func (k Key) sealer() cipher.AEAD {
	block, err := aes.NewCipher(k.derive("seal", nil))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic("state: " + err.Error()) // the size of the key is ours
}

func (k Key) derive(what string, of []byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte("grigri " + what + "\x00"))
	h.Write(of)
	return h.Sum(nil)
}
