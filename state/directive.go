package state

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/provider"
)

// defaultSizeMiB is the size of storage of which neither the user nor the charm says one.
const defaultSizeMiB = 1024

// ParseDirective reads what a user wants of a storage: pool, size and count, in any order and each at most once: "ebs,10G,2".
func ParseDirective(text string) (Directive, error) {
	var d Directive
	if strings.TrimSpace(text) == "" {
		return d, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		n, err := strconv.Atoi(part)
		switch {
		case err == nil && n < 1:
			return d, invalid("storage %q: the count must be at least 1, got %d", text, n)
		case err == nil && d.Count > 0:
			return d, invalid("storage %q: it has two counts", text)
		case err == nil:
			d.Count = n
		case part != "" && part[0] >= '0' && part[0] <= '9':
			size, ok := charm.ParseSize(part)
			if !ok || size < 1 {
				return d, invalid("storage %q: %q is neither a count nor a size such as 512M or 10G", text, part)
			}
			if d.SizeMiB > 0 {
				return d, invalid("storage %q: it has two sizes", text)
			}
			d.SizeMiB = size
		case !validPoolName(part):
			return d, invalid("storage %q: %q is not a pool's name", text, part)
		case d.Pool != "":
			return d, invalid("storage %q: it has two pools", text)
		default:
			d.Pool = part
		}
	}
	return d, nil
}

// over is d with what o says laid over it.
func (d Directive) over(o Directive) Directive {
	if o.Pool != "" {
		d.Pool, d.Type = o.Pool, ""
	}
	if o.SizeMiB > 0 {
		d.SizeMiB = o.SizeMiB
	}
	if o.Count > 0 {
		d.Count = o.Count
	}
	return d
}

// completeAll is the directive of each storage of the charm, where user says something as he says. Users' pools that t relies on it checks.
func completeAll(ctx context.Context, r Reader, t *Txn, m ModelID, has provider.Storage, meta charm.Meta, user map[string]Directive) (map[string]Directive, error) {
	for _, name := range slices.Sorted(maps.Keys(user)) {
		if _, ok := meta.Storage[name]; !ok {
			return nil, invalid("charm %q has no store called %q", meta.Name, name)
		}
	}
	out := map[string]Directive{}
	for _, name := range slices.Sorted(maps.Keys(meta.Storage)) {
		d, err := complete(ctx, r, t, m, has, meta, name, user[name])
		if err != nil {
			return nil, err
		}
		out[name] = d
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// complete fills in what the directive leaves open.
func complete(ctx context.Context, r Reader, t *Txn, m ModelID, has provider.Storage, meta charm.Meta, name string, d Directive) (Directive, error) {
	s := meta.Storage[name]
	what := fmt.Sprintf("charm %q store %q", meta.Name, name)
	given := d != Directive{}
	if d.Count == 0 && d.Type == "" { // else it is complete, and none is meant
		d.Count = s.Min
		if given {
			d.Count = max(1, s.Min)
		}
	}
	if s.Shared && d.Count > 0 {
		return d, refused("%s: shared storage is not supported", what)
	}
	if err := checkCount(what, s, d.Count); err != nil {
		return d, err
	}
	switch {
	case d.SizeMiB == 0:
		d.SizeMiB = cmp.Or(s.MinimumMiB, defaultSizeMiB)
	case d.SizeMiB < s.MinimumMiB:
		return d, invalid("%s: minimum storage size is %s, %s specified", what, mib(s.MinimumMiB), mib(d.SizeMiB))
	}
	if d.Pool == "" {
		config, err := ReadIf[ModelConfig](ctx, r, m.ConfigPath())
		if err != nil {
			return d, err
		}
		d.Pool = defaultPool(config.Value, has, s.Type)
	}
	pool, err := findPool(ctx, r, t, m, has, d.Pool)
	if err == nil && s.Type == Block && (pool.Type == RootFS || pool.Type == TmpFS) {
		err = invalid("pool %q cannot hold block devices", d.Pool)
	}
	switch {
	case err != nil && !given && d.Count == 0:
		return Directive{SizeMiB: d.SizeMiB}, nil // nobody has asked for it yet
	case err != nil:
		return d, fmt.Errorf("%s: %w", what, err)
	}
	d.Type = pool.Type
	return d, nil
}

// checkCount says whether a unit may have n instances of a storage.
func checkCount(what string, s charm.Storage, n int) error {
	switch {
	case n < s.Min:
		return invalid("%s: %d instances required, %d specified", what, s.Min, n)
	case s.Max >= 0 && n > s.Max:
		return invalid("%s: at most %d instances supported, %d specified", what, s.Max, n)
	case n > MaxStorage:
		return invalid("%s: a unit can have at most %d instances of storage, %d specified", what, MaxStorage, n)
	}
	return nil
}

// MaxStorage is how many storage instances a unit has at most.
const MaxStorage = 100

// mib is a size for users.
func mib(n int) string {
	if n%1024 == 0 {
		return fmt.Sprintf("%dG", n/1024)
	}
	return fmt.Sprintf("%dM", n)
}

// The model's settings that name the pools of storage for which no user names one.
const (
	FilesystemSource = "storage-default-filesystem-source"
	BlockSource      = "storage-default-block-source"
)

func defaultPool(config ModelConfig, has provider.Storage, kind string) string {
	key, pool := FilesystemSource, RootFS
	if kind == Block {
		key, pool = BlockSource, Loop
		if has.Volumes != "" {
			pool = has.Volumes
		}
	}
	if set := config[key]; set != "" {
		return set
	}
	return pool
}
