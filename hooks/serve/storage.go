package serve

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

func storageTools() []tool {
	return []tool{{
		name:    "storage-get",
		args:    "[<key>]",
		summary: "Print the kind and the location of a storage instance.",
		details: "The keys are kind, which is filesystem or block, and location: a directory, or a block device. Without a key both are printed.",
		flags: []flag{{names: "s", value: "<storage-id>", usage: "The storage instance, such as data/0; in a storage hook, the one that the hook is about",
			preset: func(s *Session) string { return string(s.Hook.Storage) }, check: knownStorage}},
		format: smart,
		run:    storageGet,
	}, {
		name:    "storage-list",
		args:    "[<storage-name>]",
		summary: "Print the ids of the storage instances that are attached to this unit.",
		details: "With a name, only those of the charm's storage of this name.",
		format:  smart,
		run:     storageList,
	}, {
		name:     "storage-add",
		args:     "<storage-name>[=<count>] [...]",
		summary:  "Ask for more storage instances.",
		details:  "They are added once the hook has succeeded, from the same pool and of the same size as those that came with the unit. A storage-attached hook runs for each.",
		examples: "storage-add data\nstorage-add data=2 logs",
		run:      storageAdd,
	}}
}

// knownStorage refuses an id that is not of this unit's storage.
func knownStorage(ctx context.Context, c *call, text string) (string, error) {
	id, err := state.ParseStorage(text)
	if err != nil {
		return "", errors.New("invalid storage ID")
	}
	if _, err := c.storage(ctx, id); err != nil {
		return "", err
	}
	return text, nil
}

// storage is the instance, which the charm must know of.
func (c *call) storage(ctx context.Context, id state.StorageID) (hooks.StorageInstance, error) {
	all, err := c.read.Storage(ctx)
	if err != nil {
		return hooks.StorageInstance{}, err
	}
	for _, s := range all.Instances {
		if s.ID == id && c.sees(s) {
			return s, nil
		}
	}
	return hooks.StorageInstance{}, errors.New("storage not found")
}

// sees says whether the hook may know of the instance: it has been told of it, or is being told.
func (s *Session) sees(i hooks.StorageInstance) bool { return i.Attached || i.ID == s.Hook.Storage }

func storageGet(ctx context.Context, c *call) (any, error) {
	id := c.text("s")
	if id == "" {
		return nil, usage("no storage instance specified")
	}
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	s, err := c.storage(ctx, state.StorageID(id))
	if err != nil {
		return nil, err
	}
	all := map[string]any{"kind": s.Kind, "location": s.Location}
	switch key := c.arg(0); key {
	case "":
		return all, nil
	case "kind", "location":
		return all[key], nil
	default:
		return nil, fmt.Errorf("invalid storage attribute %q", key)
	}
}

func storageList(ctx context.Context, c *call) (any, error) {
	if err := c.atMost(1); err != nil {
		return nil, err
	}
	all, err := c.read.Storage(ctx)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, s := range all.Instances {
		if name := c.arg(0); c.sees(s) && (name == "" || name == s.ID.Name()) {
			ids = append(ids, string(s.ID))
		}
	}
	return ids, nil
}

func storageAdd(ctx context.Context, c *call) (any, error) {
	if len(c.args) == 0 {
		return nil, usage("storage add requires a storage directive")
	}
	asked := map[string]int{}
	for _, arg := range c.args {
		name, text, given := strings.Cut(arg, "=")
		n := 1
		if given {
			var err error
			if n, err = strconv.Atoi(text); err != nil {
				return nil, usage("only count can be specified for %q", name)
			}
		}
		if n < 1 {
			return nil, usage("count must be at least 1 for %q, got %d", name, n)
		}
		asked[name] += n
	}
	all, err := c.read.Storage(ctx)
	if err != nil {
		return nil, err
	}
	for name, n := range asked {
		declared, ok := c.Charm.Meta.Storage[name]
		if !ok {
			return nil, fmt.Errorf("charm storage %q not found", name)
		}
		total := n + all.Asked[name] + c.effects.Storage[name]
		for _, s := range all.Instances {
			if s.ID.Name() == name && !s.Going {
				total++
			}
		}
		if declared.Max >= 0 && total > declared.Max {
			return nil, fmt.Errorf("charm %q store %q: at most %d instances supported, %d specified", c.Charm.Meta.Name, name, declared.Max, total)
		}
		if total > state.MaxStorage {
			return nil, fmt.Errorf("charm %q store %q: a unit can have at most %d instances of storage, it would have %d", c.Charm.Meta.Name, name, state.MaxStorage, total)
		}
	}
	if c.effects.Storage == nil {
		c.effects.Storage = map[string]int{}
	}
	for name, n := range asked {
		c.effects.Storage[name] += n
	}
	return nil, nil
}
