package state

import (
	"context"
	"fmt"
)

// Resolve answers the failed hook of a unit: skip leaves the hook behind, otherwise it is run again now.
func Resolve(ctx context.Context, r Reader, m ModelID, by By, u UnitName, skip bool) (Txn, error) {
	var t Txn
	rec, err := Read[Unit](ctx, r, m.UnitPath(u))
	if err != nil {
		return t, missing(err, "unit", string(u))
	}
	ledger, err := ReadIf[Ledger](ctx, r, m.LedgerPath(u))
	if err != nil {
		return t, fmt.Errorf("resolve unit %q: %w", u, err)
	}
	if ledger.Value.Failed == nil {
		return t, refused("unit %q is not in an error state", u)
	}
	rec.Value.Answer = Answer{Rev: rec.Value.Answer.Rev + 1, Skip: skip}
	t.Set(rec.Path, rec.Value, rec.Version)
	by.record(&t, m, "resolved", fmt.Sprintf("%s skip=%t", u, skip))
	return t, nil
}
