package state

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/grigri/grigri/provider"
)

var poolName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]*$`)

func validPoolName(s string) bool { return poolName.MatchString(s) }

// BuiltInPools is the pools that nobody has to make, each with the name of its type.
func BuiltInPools(has provider.Storage) map[string]Pool {
	out := map[string]Pool{RootFS: {Type: RootFS}}
	if !has.Shared {
		out[TmpFS], out[Loop] = Pool{Type: TmpFS}, Pool{Type: Loop}
	}
	if has.Volumes != "" {
		out[has.Volumes] = Pool{Type: has.Volumes}
	}
	return out
}

// AllPools is every pool of the model by name.
func AllPools(ctx context.Context, r Reader, m ModelID, has provider.Storage) (map[string]Pool, error) {
	out := BuiltInPools(has)
	names, err := ChildrenIf(ctx, r, m.PoolsPath())
	if err != nil {
		return nil, fmt.Errorf("list storage pools: %w", err)
	}
	for _, name := range names {
		rec, err := ReadIf[Pool](ctx, r, m.PoolPath(name))
		if err != nil {
			return nil, fmt.Errorf("read storage pool %s: %w", name, err)
		}
		if rec.Exists() {
			out[name] = rec.Value
		}
	}
	return out, nil
}

// findPool is the pool. Of a user's one t holds only while it is as it is, and writes it, so that its removal holds no more.
func findPool(ctx context.Context, r Reader, t *Txn, m ModelID, has provider.Storage, name string) (Pool, error) {
	if p, ok := BuiltInPools(has)[name]; ok {
		return p, nil
	}
	rec, err := ReadIf[Pool](ctx, r, m.PoolPath(name))
	switch {
	case err != nil:
		return Pool{}, err
	case rec.Exists():
		t.touch(rec.Path, rec.Value, rec.Version)
		return rec.Value, nil
	case name == TmpFS || name == Loop:
		return Pool{}, refused("pool %q is not for the machines of this cloud", name)
	}
	return Pool{}, &NotFoundError{"pool", name}
}

// touch is Set unless t sets the node already.
func (t *Txn) touch(path string, value any, v Version) {
	if !slices.ContainsFunc(t.Ops, func(op Op) bool { return op.Kind == OpSet && op.Path == path }) {
		t.Set(path, value, v)
	}
}

// CreatePool makes a pool.
func CreatePool(ctx context.Context, r Reader, m ModelID, by By, has provider.Storage, name string, p Pool) (Txn, error) {
	var t Txn
	if !validPoolName(name) {
		return t, invalid("pool name %q is not valid: use letters, digits and hyphens, a letter first", name)
	}
	built := BuiltInPools(has)
	if _, ok := built[p.Type]; !ok {
		return t, invalid("storage provider %q not found: those of this cloud are %s", p.Type, keys(slices.Sorted(maps.Keys(built))))
	}
	if _, taken := built[name]; taken {
		return t, &ExistsError{Kind: "storage pool", Name: name}
	}
	rec, err := ReadIf[Pool](ctx, r, m.PoolPath(name))
	if err != nil {
		return t, fmt.Errorf("create storage pool %q: %w", name, err)
	}
	if rec.Exists() {
		return t, &ExistsError{Kind: "storage pool", Name: name}
	}
	if _, err := aliveModel(ctx, r, &t, m); err != nil {
		return Txn{}, err
	}
	t.Create(m.PoolPath(name), p)
	by.record(&t, m, "create-storage-pool", name)
	return t, nil
}

// UpdatePool lays attributes over a pool's. Storage that has been made keeps those that it was made with.
func UpdatePool(ctx context.Context, r Reader, m ModelID, by By, has provider.Storage, name string, attributes map[string]string) (Txn, error) {
	var t Txn
	rec, err := userPool(ctx, r, m, has, name)
	if err != nil {
		return t, err
	}
	now := maps.Clone(rec.Value.Attributes)
	if now == nil {
		now = map[string]string{}
	}
	maps.Copy(now, attributes)
	if maps.Equal(now, rec.Value.Attributes) {
		return t, nil
	}
	rec.Value.Attributes = now
	t.Set(rec.Path, rec.Value, rec.Version)
	by.record(&t, m, "update-storage-pool", name)
	return t, nil
}

// RemovePool removes a pool that no application will take storage from and no storage is from.
func RemovePool(ctx context.Context, r Reader, m ModelID, by By, has provider.Storage, name string) (Txn, error) {
	var t Txn
	rec, err := userPool(ctx, r, m, has, name)
	if err != nil {
		return t, err
	}
	apps, err := ChildrenIf(ctx, r, m.ApplicationsPath())
	if err != nil {
		return t, fmt.Errorf("remove storage pool %q: %w", name, err)
	}
	for _, a := range apps {
		app, err := ReadIf[Application](ctx, r, m.ApplicationPath(ApplicationName(a)))
		if err != nil {
			return t, fmt.Errorf("remove storage pool %q: %w", name, err)
		}
		for _, d := range app.Value.Storage {
			if d.Pool == name {
				return t, refused("storage pool %q is in use by application %q", name, a)
			}
		}
	}
	all, err := AllStorage(ctx, r, m)
	if err != nil {
		return t, fmt.Errorf("remove storage pool %q: %w", name, err)
	}
	for _, id := range slices.SortedFunc(maps.Keys(all), CompareStorage) {
		if all[id].Pool == name {
			return t, refused("storage pool %q is in use by storage %s", name, id)
		}
	}
	t.Delete(rec.Path, rec.Version) // whoever takes storage from it meanwhile has written it
	by.record(&t, m, "remove-storage-pool", name)
	return t, nil
}

func userPool(ctx context.Context, r Reader, m ModelID, has provider.Storage, name string) (Record[Pool], error) {
	if _, ok := BuiltInPools(has)[name]; ok {
		return Record[Pool]{}, refused("storage pool %q is built in and stays as it is", name)
	}
	if !validPoolName(name) {
		return Record[Pool]{}, &NotFoundError{"storage pool", name}
	}
	rec, err := Read[Pool](ctx, r, m.PoolPath(name))
	return rec, missing(err, "storage pool", name)
}

// KeepsNothing refuses a model in which there is persistent storage.
func KeepsNothing(ctx context.Context, r Reader, m ModelID) error {
	return keepsNothing(ctx, r, new(Txn), m)
}

// keepsNothing is KeepsNothing; t holds only while no storage is made.
func keepsNothing(ctx context.Context, r Reader, t *Txn, m ModelID) error {
	numbers, err := count(ctx, r, m, "storage", 0)
	if err != nil {
		return err
	}
	all, err := AllStorage(ctx, r, m)
	if err != nil {
		return err
	}
	filesystems, volumes := 0, 0
	for _, stored := range all {
		switch {
		case !stored.Persistent:
		case stored.Kind == Block:
			volumes++
		default:
			filesystems++
		}
	}
	if filesystems+volumes > 0 {
		return refused("cannot destroy the model: it has persistent storage, %d filesystem(s) and %d volume(s): "+
			"give --destroy-storage to destroy that too, or --release-storage to leave it where it is", filesystems, volumes)
	}
	numbers.save(t) // whoever makes storage takes a number
	return nil
}

// AllStorage is every storage instance of the model.
func AllStorage(ctx context.Context, r Reader, m ModelID) (map[StorageID]Storage, error) {
	names, err := ChildrenIf(ctx, r, m.StoragesPath())
	if err != nil {
		return nil, fmt.Errorf("list storage: %w", err)
	}
	out := map[StorageID]Storage{}
	for _, name := range names {
		id := StorageOfNode(name)
		rec, err := ReadIf[Storage](ctx, r, m.StoragePath(id))
		if err != nil {
			return nil, fmt.Errorf("read storage %s: %w", id, err)
		}
		if rec.Exists() {
			out[id] = rec.Value
		}
	}
	return out, nil
}
