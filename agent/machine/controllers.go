package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/agent/unit"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
)

// controllers is what the controllers answer, whichever of them does.
type controllers struct {
	conn      enroll.Conn
	addresses func() []string
}

var _ unit.API = controllers{}

func (c controllers) Charm(ctx context.Context, sha256 string) (io.ReadCloser, error) {
	resp, err := c.conn.Do(ctx, c.addresses(), agentapi.CharmRoute, map[string]string{"hash": sha256}, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Binary is the agent's archive that has this hash.
func (c controllers) Binary(ctx context.Context, sha256 string) (io.ReadCloser, error) {
	resp, err := c.conn.Do(ctx, c.addresses(), agentapi.BinaryRoute, map[string]string{"hash": sha256}, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c controllers) GoalState(ctx context.Context, u state.UnitName) (out hooks.GoalState, err error) {
	err = c.ask(ctx, agentapi.GoalStateRoute, u, &out)
	return out, err
}

func (c controllers) ApplicationStatus(ctx context.Context, u state.UnitName) (out hooks.ApplicationStatus, err error) {
	err = c.ask(ctx, agentapi.ApplicationStatusRoute, u, &out)
	var refused *enroll.StatusError
	if errors.As(err, &refused) && refused.Code == http.StatusForbidden {
		err = fmt.Errorf("%w: %w", hooks.ErrNotLeader, err)
	}
	return out, err
}

func (c controllers) Resource(ctx context.Context, u state.UnitName, sha256 string) (io.ReadCloser, error) {
	resp, err := c.conn.Do(ctx, c.addresses(), agentapi.ResourceRoute, map[string]string{"unit": u.Node(), "hash": sha256}, nil)
	var refused *enroll.StatusError
	if errors.As(err, &refused) && refused.Code == http.StatusNotFound {
		err = fmt.Errorf("%w: %w", hooks.ErrNoResource, err)
	}
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c controllers) Credential(ctx context.Context, u state.UnitName) (out hooks.CloudSpec, err error) {
	err = c.ask(ctx, agentapi.CredentialRoute, u, &out)
	var refused *enroll.StatusError
	if errors.As(err, &refused) && refused.Code == http.StatusForbidden {
		err = fmt.Errorf("%w: %w", hooks.ErrDenied, err)
	}
	return out, err
}

func (c controllers) ask(ctx context.Context, route string, u state.UnitName, out any) error {
	return c.conn.JSON(ctx, c.addresses(), route, map[string]string{"unit": u.Node()}, nil, out)
}

// send sends log lines, one a line.
func (c controllers) send(ctx context.Context, lines []byte) error {
	resp, err := c.conn.Do(ctx, c.addresses(), agentapi.LogsRoute, nil, lines)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sendStatuses sends agentapi.Statuses, one a line.
func (c controllers) sendStatuses(ctx context.Context, lines []byte) error {
	resp, err := c.conn.Do(ctx, c.addresses(), agentapi.StatusesRoute, nil, lines)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (c controllers) NewSecret(ctx context.Context, u state.UnitName, application bool, value state.SecretContent) (state.SecretID, state.SealedSecret, error) {
	var out agentapi.Sealed
	err := c.conn.JSON(ctx, c.addresses(), agentapi.NewSecretRoute, map[string]string{"unit": u.Node()},
		agentapi.NewSecret{Application: application, Value: value}, &out)
	return out.ID, out.SealedSecret, err
}

func (c controllers) SealSecret(ctx context.Context, u state.UnitName, id state.SecretID, value state.SecretContent) (state.SealedSecret, error) {
	var out agentapi.Sealed
	err := c.conn.JSON(ctx, c.addresses(), agentapi.SealSecretRoute, map[string]string{"unit": u.Node(), "secret": string(id)},
		agentapi.NewSecret{Value: value}, &out)
	return out.SealedSecret, secretError(err)
}

func (c controllers) SecretContent(ctx context.Context, u state.UnitName, id state.SecretID, revision int) (state.SecretContent, int, error) {
	var out agentapi.SecretValue
	err := c.conn.JSON(ctx, c.addresses(), agentapi.ReadSecretRoute,
		map[string]string{"unit": u.Node(), "secret": string(id), "revision": strconv.Itoa(revision)}, nil, &out)
	return out.Value, out.Revision, secretError(err)
}

// secretError puts a refusal into the words of hooks.
func secretError(err error) error {
	var refused *enroll.StatusError
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.Code == http.StatusNotFound:
		return fmt.Errorf("%w: %w", hooks.ErrNoSecret, err)
	case refused.Code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", hooks.ErrDenied, err)
	}
	return err
}
