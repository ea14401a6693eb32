package state

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
)

// maxDefaults is how many bytes the defaults of a cloud may have, so that every model has room for them beside its own settings.
const maxDefaults = 64 << 10

// SetModelDefaults changes the defaults of a region of the cloud, or where region is empty of the whole cloud: those in set get new
// values, those in reset lose theirs. Models that are there keep what they have. It is recorded in the history of the controllers' own model,
// which is m.
func SetModelDefaults(ctx context.Context, r Reader, m ModelID, by By, cloud, region string, set ModelConfig, reset []string) (Txn, error) {
	var t Txn
	where, err := Read[provider.Cloud](ctx, r, CloudPath(cloud))
	if err != nil {
		return t, missing(err, "cloud", cloud)
	}
	rec, err := readDefaults(ctx, r, cloud)
	if err != nil {
		return t, err
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
	by.record(&t, m, "model-defaults", strings.TrimSuffix(cloud+"/"+region, "/")+" "+keys(slices.Sorted(maps.Keys(set)), reset))
	return t, nil
}

func readDefaults(ctx context.Context, r Reader, cloud string) (Record[ModelDefaults], error) {
	rec, err := ReadIf[ModelDefaults](ctx, r, DefaultsPath(cloud))
	if err != nil {
		return rec, fmt.Errorf("read the defaults of models in cloud %q: %w", cloud, err)
	}
	return rec, nil
}

// A modelSettings is the settings of a model with where they come from.
type modelSettings struct {
	config Record[ModelConfig]
	from   Record[Inherited]
}

// readSettings reads the config first: whoever changes one of the two writes it, so that its version speaks for both.
func readSettings(ctx context.Context, r Reader, m ModelID) (s modelSettings, err error) {
	if s.config, err = Read[ModelConfig](ctx, r, m.ConfigPath()); err != nil {
		return s, missing(err, "model", string(m))
	}
	if s.from, err = ReadIf[Inherited](ctx, r, m.InheritedPath()); err != nil {
		return s, fmt.Errorf("read where the settings of model %s come from: %w", m, err)
	}
	return s, nil
}

// changed is the settings after a change: those in set are the model's own, those in reset that are not in set are what the defaults
// say of a new model in the region.
func (s modelSettings) changed(d ModelDefaults, region string, set ModelConfig, reset []string) (ModelConfig, Inherited) {
	config, from := s.config.Value.changed(set, reset), Inherited{}
	maps.Copy(from, s.from.Value)
	inherited, source := d.Under(nil, region)
	for _, key := range reset {
		delete(from, key)
		if value, ok := inherited[key]; ok {
			config[key], from[key] = value, source[key]
		}
	}
	for key, value := range set {
		config[key] = value
		delete(from, key)
	}
	return config, from
}
