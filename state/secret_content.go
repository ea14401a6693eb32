package state

import (
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// MaxSecret is how large a value may be: its keys and what they hold, together.
const MaxSecret = 256 << 10

var secretKey = regexp.MustCompile(`^([a-z](?:-?[a-z0-9]){2,})$`)

// NewSecretContent is a value as users and charms give it: what a key that ends with #base64 holds is decoded. Errors do not tell it.
func NewSecretContent(pairs map[string]string) (SecretContent, error) {
	out := SecretContent{}
	for _, given := range slices.Sorted(maps.Keys(pairs)) {
		key, coded := strings.CutSuffix(given, "#base64")
		if !secretKey.MatchString(key) {
			return nil, invalid("secret key %q not valid: want at least 3 lowercase letters, digits and single dashes, beginning with a letter", key)
		}
		if _, twice := out[key]; twice {
			return nil, invalid("secret key %q is given twice", key)
		}
		out[key] = []byte(pairs[given])
		if coded {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(pairs[given]))
			if err != nil {
				return nil, invalid("the value of secret key %q is not base64", key)
			}
			out[key] = raw
		}
	}
	return out, out.Valid()
}

func (c SecretContent) size() int {
	n := 0
	for k, v := range c {
		n += len(k) + len(v)
	}
	return n
}

// Valid says why the value cannot be kept.
func (c SecretContent) Valid() error {
	switch n := c.size(); {
	case len(c) == 0:
		return invalid("empty secret value not valid")
	case n > MaxSecret:
		return invalid("secret value of %d bytes is too large: at most %d are allowed", n, MaxSecret)
	}
	for k := range c {
		if !secretKey.MatchString(k) {
			return invalid("secret key %q not valid", k)
		}
	}
	return nil
}
