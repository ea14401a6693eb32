package zkserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	pause    = 20 * time.Millisecond // between two tries
	patience = 2 * time.Second       // for the answer to one
)

// Ready returns when the ZooKeeper at addr serves clients that connect with conf, which must have a ServerName.
// It gives up when ctx ends, and when the server is not who it should be.
func Ready(ctx context.Context, addr string, conf *tls.Config) error {
	var last error // of a try that ctx did not cut short
	for {
		err := ask(ctx, addr, conf)
		if err == nil {
			return nil
		}
		if end, ok := ctx.Deadline(); last == nil || ctx.Err() == nil && (!ok || time.Now().Before(end)) {
			last = err
		}
		var wrong *tls.CertificateVerificationError
		if errors.As(err, &wrong) {
			return fmt.Errorf("connect to ZooKeeper at %s: %w", addr, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for ZooKeeper at %s: %w: the last try: %w", addr, context.Cause(ctx), last)
		case <-time.After(pause):
		}
	}
}

// ask asks the server once whether it serves.
func ask(ctx context.Context, addr string, conf *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := conn.Write([]byte("srvr")); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	switch {
	case strings.HasPrefix(string(answer), "Zookeeper version"):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("it answers %q", answer)
}
