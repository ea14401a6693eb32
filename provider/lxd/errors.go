package lxd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// classify says of an error of LXD's what it means to the caller: try later, or never.
func classify(err error) error {
	if err == nil || errors.Is(err, provider.ErrTransient) || errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrNotFound) {
		return err
	}
	lost := (*client.LostError)(nil)
	switch {
	case errors.Is(err, client.ErrOtherServer):
		return err // somebody must look
	case errors.As(err, &lost), errors.Is(err, context.DeadlineExceeded),
		client.StatusErrorCheck(err, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusPreconditionFailed),
		says(err, "Reached maximum", "exceeds the maximum", "no space left on device", "busy running", "is locked", "LXD is shutting down", "event connection with target cluster member", "Unable to connect to",
			"agent isn't currently running", // that of a virtual machine which boots
			stopsUnderFile):
		return fmt.Errorf("%w: %w", err, provider.ErrTransient)
	}
	return err
}

// stopsUnderFile is in what LXD says when an instance stops while a file of it is written.
const stopsUnderFile = "forkfile.sock"

// unknown says that it is not known whether what was asked for has happened: look again.
func unknown(err error) bool {
	lost := (*client.LostError)(nil)
	return errors.As(err, &lost)
}

// says looks for words in an error of LXD's, which for most of what goes wrong has no code.
func says(err error, words ...string) bool {
	status := (*client.StatusError)(nil)
	if !errors.As(err, &status) {
		return false
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(status.Message), strings.ToLower(w)) {
			return true
		}
	}
	return false
}

func exists(err error) bool {
	return client.StatusErrorCheck(err, http.StatusConflict) || says(err, "already exists", "already in use", "UNIQUE constraint failed")
}
