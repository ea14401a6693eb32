package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/grigri/grigri/internal/userapi"
)

// ErrNoAnswer is wrapped by errors that mean that no controller was reached.
var ErrNoAnswer = errors.New("does not answer")

// Passing says whether err may pass by itself: the controller was not reached, its answer was cut off, or it cannot answer just now.
// A controller that says no, or is not the right one, does not.
func Passing(err error) bool {
	var answer *userapi.Error
	if errors.As(err, &answer) {
		return answer.Code == userapi.Unavailable
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return err != nil && !errors.As(err, &unknown) && !errors.As(err, &host) && !errors.As(err, &invalid)
}

// transient says whether the same request may be answered a little later.
func transient(err error) bool {
	var e *userapi.Error
	if errors.As(err, &e) {
		return e.Code == userapi.Unavailable
	}
	var timeout net.Error
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

// explain says in a user's words why a request could not be made at address.
func (c *Client) explain(address string, err error) error {
	var answer *userapi.Error
	if errors.As(err, &answer) {
		return answer
	}
	who := fmt.Sprintf("controller %q at %s", c.config.Name, address)
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	switch cause := root(err); {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &verify) && !errors.As(err, &invalid):
		return fmt.Errorf("%s shows a certificate that is not this controller's: %w: is another controller listening there?", who, cause)
	case errors.As(err, &invalid):
		return fmt.Errorf("%s shows a certificate that is not valid: %w: is the clock right?", who, cause)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s does not speak TLS: is another program listening there?", who)
	case c.config.Start != "" && errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s %w: %w: start it with: %s", who, ErrNoAnswer, cause, c.config.Start)
	default:
		return fmt.Errorf("%s %w: %w: is grigrid running?", who, ErrNoAnswer, cause)
	}
}

// root is err without the method and URL that net/http puts before it.
func root(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
