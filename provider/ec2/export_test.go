package ec2

import (
	"context"
	"time"
)

// Sweep sweeps as at that time.
func (p *Provider) Sweep(ctx context.Context, controller string, now time.Time) {
	found, err := p.describe(ctx, filter("tag:"+tagController, controller))
	if err == nil {
		p.sweep(ctx, controller, found, now)
	}
}
