package leader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grigri/grigri/provider"
)

// How long one call of a provider may take. One that has not come to its end by then is given up and asked for again, and status says
// so: without that, a call that never returns would keep its machine as it is for ever.
const (
	mostList    = 2 * time.Minute
	mostStart   = 30 * time.Minute // an image may have to come from far away
	mostRestart = 3 * time.Minute  // all of the instance is there
	mostCall    = 10 * time.Minute
)

// within calls a provider, and gives it up after most.
func within(ctx context.Context, most time.Duration, call func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := call(limited)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the provider has not come to an end within %s: %w: %w", most, err, provider.ErrTransient)
	}
	return err
}
