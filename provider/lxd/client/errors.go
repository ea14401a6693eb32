package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
)

// ErrOtherServer says that the server is not the one whose certificate is known.
var ErrOtherServer = errors.New("the server has another certificate than the one that is known of it")

// A StatusError is what LXD itself said no with: to a request, or at the end of an operation.
type StatusError struct {
	Status  int // as of HTTP
	Message string
}

func (e *StatusError) Error() string { return e.Message }

// StatusErrorCheck says whether err is LXD's, with one of these statuses.
func StatusErrorCheck(err error, statuses ...int) bool {
	e := (*StatusError)(nil)
	if !errors.As(err, &e) {
		return false
	}
	for _, s := range statuses {
		if e.Status == s {
			return true
		}
	}
	return false
}

// IsNotFound says that what was asked for is not there.
func IsNotFound(err error) bool { return StatusErrorCheck(err, http.StatusNotFound) }

// A LostError says that no answer came, or none of LXD's. Whether LXD has done what it was asked to is not known.
type LostError struct {
	What     string
	Endpoint string
	Err      error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("LXD at %s does not answer (%s): %v", e.Endpoint, e.What, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Fingerprint is a certificate's name with LXD: the SHA-256 of its DER, in hex.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
