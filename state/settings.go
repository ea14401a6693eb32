package state

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// A ControllerConfig is the settings of the controllers, as text: those that a user has set.
type ControllerConfig map[string]string

// ControllerConfigPath is where the ControllerConfig is, once something has been set.
const ControllerConfigPath = ControllersPath + "/config"

// ModelLogsSize is the setting that says how much of each model's log a controller keeps: a number of bytes as ParseSize reads it.
const ModelLogsSize = "model-logs-size"

// DefaultLogSize is that of controllers that do not say, and LeastLogSize what they may say at least.
const (
	DefaultLogSize = 32 << 20
	LeastLogSize   = 1 << 20
)

// LogSize is how many bytes of each model's log are kept.
func (c ControllerConfig) LogSize() int64 {
	if n, err := ParseSize(c[ModelLogsSize]); err == nil && n >= LeastLogSize {
		return n
	}
	return DefaultLogSize
}

// SetControllerConfig changes settings of the controllers. Which there are, and of which form, is the caller's to check.
// It is recorded in the history of the controllers' own model, which is m.
func SetControllerConfig(ctx context.Context, r Reader, m ModelID, by By, set ControllerConfig) (Txn, error) {
	var t Txn
	rec, err := ReadIf[ControllerConfig](ctx, r, ControllerConfigPath)
	if err != nil {
		return t, fmt.Errorf("read the settings of the controller: %w", err)
	}
	now := ControllerConfig{}
	maps.Copy(now, rec.Value)
	maps.Copy(now, set)
	if maps.Equal(now, rec.Value) {
		return t, nil
	}
	Put(&t, ControllerConfigPath, rec, now)
	by.record(&t, m, "controller-config", keys(slices.Sorted(maps.Keys(set))))
	return t, nil
}
