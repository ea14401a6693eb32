package machine

import (
	"context"
	"time"

	"github.com/grigri/grigri/internal/programs"
)

// fetchAgain is how long after a failure the agent that the model wants is fetched again.
const fetchAgain = time.Minute

// replace has the agent fetched that the model wants, if it is another one than this. Until it is there everything goes on.
func (m *machine) replace(ctx context.Context) error {
	if !m.settled {
		if err := m.Programs.Settled(); err != nil {
			return err
		}
		m.settled = true
	}
	want, have := m.Conf.Addresses.AgentHash, m.Programs.Current()
	if want == "" || have == "" || want == have || want == m.fetching {
		return nil
	}
	m.fetching = want
	if refused, _ := m.Programs.Refused(); want == refused {
		m.log.Error("the agent that the model wants has not come up here and is not tried again", "agent", want)
		return nil
	}
	m.group.Go(func() error {
		m.fetched <- m.Programs.Fetch(ctx, want, m.api.Binary)
		return nil
	})
	return nil
}

// putInPlace puts the agent in place that has been fetched, once no hook runs, and returns programs.ErrReplaced.
func (m *machine) putInPlace(ctx context.Context, err error) error {
	if err != nil {
		m.log.Warn("the agent that the model wants cannot be had and will be tried again", "err", err, "delay", fetchAgain)
		m.retry = time.After(fetchAgain)
		return nil
	}
	if m.fetching != m.Conf.Addresses.AgentHash {
		return nil // the model wants yet another one
	}
	release, _, err := m.lock.Acquire(ctx, "replacement of the machine's agent")
	if err != nil {
		return err
	}
	defer release()
	if err := m.Programs.Replace(m.fetching); err != nil {
		return err
	}
	m.log.Info("the agent is replaced", "by", m.fetching)
	return programs.ErrReplaced
}
