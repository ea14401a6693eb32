package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
)

// maxDefaults is how many bytes the defaults of a cloud may have, so that every model has room for them beside its own settings.
const maxDefaults = 64 << 10

// SetModelDefaults changes the defaults of a region of the cloud, or where region is empty of the whole cloud: those in set get new
// values, those in reset lose theirs. The models that inherit change in the same transaction, as many as it holds; the leader, who
// watches the defaults, brings the others after. It is recorded in the history of the controllers' own model, which is m.
func SetModelDefaults(ctx context.Context, r Reader, m ModelID, by By, cloud, region string, set ModelConfig, reset []string) (Txn, error) {
	var t Txn
	where, err := Read[provider.Cloud](ctx, r, CloudPath(cloud))
	if err != nil {
		return t, missing(err, "cloud", cloud)
	}
	rec, err := ReadIf[ModelDefaults](ctx, r, DefaultsPath(cloud))
	if err != nil {
		return t, fmt.Errorf("read the defaults of models in cloud %q: %w", cloud, err)
	}
	if _, known := rec.Value.Regions[region]; !known { // those of a region that the cloud has lost can still be reset
		if _, err := RegionOf(where.Value, region); err != nil {
			return t, err
		}
	}
	now := rec.Value.changed(region, set, reset)
	data := Encode(now)
	if string(data) == string(Encode(rec.Value)) {
		return t, nil
	}
	if len(data) > maxDefaults {
		return t, invalid("the defaults of models in cloud %q may have %d bytes together, and these have %d", cloud, maxDefaults, len(data))
	}
	t.Check(where.Path, where.Version)
	Put(&t, DefaultsPath(cloud), rec, now)
	details := keys(slices.Sorted(maps.Keys(set)), reset)
	by.record(&t, m, "model-defaults", strings.TrimSuffix(cloud+"/"+region, "/")+" "+details)
	var models []Model
	err = placed(ctx, r, func(p Place) bool { return p.Cloud == cloud && (region == "" || p.Region == region) }, func(m Model) { models = append(models, m) })
	if err != nil {
		return Txn{}, err
	}
	for _, model := range models {
		if model.Life != Alive {
			continue
		}
		one, err := inherit(ctx, r, model, now)
		if gone := (*NotFoundError)(nil); errors.As(err, &gone) {
			continue
		}
		if err != nil {
			return Txn{}, err
		}
		if len(one.Ops) > 0 {
			one.Tell(model.UUID, TicketModel, "")
		}
		joined := t
		joined.Join(one)
		if joined.full() {
			break
		}
		t = joined
	}
	return t, nil
}

// Inherit brings the settings of the model in line with the defaults of its cloud.
func Inherit(ctx context.Context, r Reader, model Model) (Txn, error) {
	defaults, err := ReadIf[ModelDefaults](ctx, r, DefaultsPath(model.Cloud))
	if err != nil {
		return Txn{}, fmt.Errorf("read the defaults of models in cloud %q: %w", model.Cloud, err)
	}
	t, err := inherit(ctx, r, model, defaults.Value)
	if err == nil && len(t.Ops) > 0 && defaults.Exists() {
		t.Check(defaults.Path, defaults.Version)
	}
	return t, err
}

// inherit is the change that the model's settings need when the defaults are these.
func inherit(ctx context.Context, r Reader, model Model, d ModelDefaults) (Txn, error) {
	s, err := readSettings(ctx, r, model.UUID)
	if err != nil {
		return Txn{}, err
	}
	var t Txn
	s.put(&t, d, model.Region, s.from.Value.Own(s.config.Value))
	return t, nil
}

// A modelSettings is the settings of a model with where they come from.
type modelSettings struct {
	m      ModelID
	config Record[ModelConfig]
	from   Record[Inherited]
}

// readSettings reads the config first: whoever changes one of the two writes it, so that its version speaks for both.
func readSettings(ctx context.Context, r Reader, m ModelID) (modelSettings, error) {
	s := modelSettings{m: m}
	var err error
	if s.config, err = Read[ModelConfig](ctx, r, m.ConfigPath()); err != nil {
		return s, missing(err, "model", string(m))
	}
	if s.from, err = ReadIf[Inherited](ctx, r, m.InheritedPath()); err != nil {
		return s, fmt.Errorf("read where the settings of model %s come from: %w", m, err)
	}
	return s, nil
}

// put has the model have its own settings over the defaults. It returns all of its settings.
func (s modelSettings) put(t *Txn, d ModelDefaults, region string, own ModelConfig) ModelConfig {
	config, from := d.Under(own, region)
	if maps.Equal(config, s.config.Value) && maps.Equal(from, s.from.Value) {
		return config
	}
	t.Set(s.config.Path, config, s.config.Version)
	if !maps.Equal(from, s.from.Value) {
		Put(t, s.m.InheritedPath(), s.from, from)
	}
	return config
}
