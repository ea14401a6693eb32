package sshhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// How often, and after which pause, a host that cannot be connected to is tried again by Reconnect.
const (
	reconnectTries = 5
	reconnectPause = 2 * time.Second
)

// Reconnect connects and logs in anew if the connection is broken. Nobody is asked: what was answered before is answered again.
// Nothing may run on the host meanwhile.
func (h *Host) Reconnect(ctx context.Context) error {
	if h.alive(new(atomic.Bool)) {
		return nil
	}
	h.client.Close()
	c := h.Config
	c.Trust = nil // what was trusted is known
	if c.Ask != nil {
		c.Ask = h.answers.again()
	}
	for try := 1; ; try++ {
		client, _, err := connect(ctx, c)
		if err == nil {
			h.client = client
			return nil
		}
		if ctx.Err() != nil || try == reconnectTries || errors.Is(err, errSilent) || !errors.As(err, new(*net.OpError)) {
			return fmt.Errorf("connect to %s again: %w", c.Target, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

// answers is what a user has answered last to each question. They are secrets.
type answers struct {
	mu    sync.Mutex
	given map[string]string
}

type ask = func(ctx context.Context, prompt string) (string, error)

func (a *answers) remember(f ask) ask {
	return func(ctx context.Context, prompt string) (string, error) {
		answer, err := f(ctx, prompt)
		if err == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.given == nil {
				a.given = map[string]string{}
			}
			a.given[prompt] = answer
		}
		return answer, err
	}
}

// again gives each answer once more.
func (a *answers) again() ask {
	said := map[string]bool{}
	return func(_ context.Context, prompt string) (string, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		answer, ok := a.given[prompt]
		if !ok || said[prompt] {
			return "", errors.New("there is nobody to ask")
		}
		said[prompt] = true
		return answer, nil
	}
}
