package state

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/charm"
)

// MaxResource is the size of one file of a resource, in bytes.
const MaxResource = 8 << 30

// A ResourceChoice is what a user wants a resource to be: a file that has been uploaded, or one of the revisions there are.
type ResourceChoice struct {
	SHA256   string // empty: Revision is meant
	Size     int64
	Revision int
}

// AttachResource gives an application another revision of a resource. Its units run upgrade-charm if it is another file.
func AttachResource(ctx context.Context, r Reader, m ModelID, by By, a ApplicationName, name string, want ResourceChoice) (Txn, UsedResource, error) {
	t, used, err := attachResource(ctx, r, m, by, a, name, want)
	if err != nil {
		return Txn{}, used, fmt.Errorf("cannot attach resource %q to application %q: %w", name, a, err)
	}
	return t, used, nil
}

func attachResource(ctx context.Context, r Reader, m ModelID, by By, a ApplicationName, name string, want ResourceChoice) (t Txn, used UsedResource, err error) {
	rec, err := aliveApplication(ctx, r, m, a)
	if err != nil {
		return t, used, err
	}
	app := rec.Value
	ch, err := readCharm(ctx, r, m, app.Charm)
	if err != nil {
		return t, used, err
	}
	have := app.Resources
	app.Resources, err = chooseResources(ctx, r, &t, m, by, ch.Charm, have, map[string]ResourceChoice{name: want})
	used = app.Resources[name]
	if err != nil || used == have[name] {
		return Txn{}, used, err
	}
	app.CharmRev++
	t.Set(rec.Path, app, rec.Version)
	by.record(&t, m, "attach-resource", fmt.Sprintf("%s %s=%d", a, name, used.Revision))
	return t, used, nil
}

// chooseResources is the resources of an application whose charm is c: what it has and c still declares, with what is wanted
// laid over it. The revisions that this makes are added to t, and those it relies on are checked.
func chooseResources(ctx context.Context, r Reader, t *Txn, m ModelID, by By, c charm.Charm, have map[string]UsedResource, want map[string]ResourceChoice) (map[string]UsedResource, error) {
	out := map[string]UsedResource{}
	for name, used := range have {
		if c.Meta.Resources[name].Type == "file" {
			out[name] = used
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		declared, ok := c.Meta.Resources[name]
		switch {
		case !ok:
			return nil, invalid("charm %q has no resource %q%s", c.Meta.Name, name, itsResources(c))
		case declared.Type != "file":
			return nil, refused("resource %q of charm %q is of type %s, which only charms on Kubernetes use", name, c.Meta.Name, declared.Type)
		}
		var err error
		if out[name], err = chooseResource(ctx, r, t, m, by, c.Meta.Name, name, want[name]); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func itsResources(c charm.Charm) string {
	if len(c.Meta.Resources) == 0 {
		return "; it has none"
	}
	return "; it has " + strings.Join(slices.Sorted(maps.Keys(c.Meta.Resources)), ", ")
}

// chooseResource is one revision: of an upload the newest if that is the same file, else a new one.
func chooseResource(ctx context.Context, r Reader, t *Txn, m ModelID, by By, charmName, name string, want ResourceChoice) (UsedResource, error) {
	if want.SHA256 == "" {
		rec, err := Read[Resource](ctx, r, m.ResourcePath(charmName, name, want.Revision))
		if err != nil {
			return UsedResource{}, missing(err, fmt.Sprintf("revision %d of resource", want.Revision), name)
		}
		t.Check(rec.Path, rec.Version)
		return rec.Value.used(), nil
	}
	if want.Size > MaxResource {
		return UsedResource{}, invalid("resource %q is %d bytes, at most %d are allowed", name, want.Size, int64(MaxResource))
	}
	number, err := count(ctx, r, m, "resource-"+charmName+"+"+name, 0)
	if err != nil {
		return UsedResource{}, err
	}
	if number.next > 0 {
		rec, err := ReadIf[Resource](ctx, r, m.ResourcePath(charmName, name, number.next-1))
		if err != nil {
			return UsedResource{}, err
		}
		if rec.Value.SHA256 == want.SHA256 {
			t.Check(rec.Path, rec.Version)
			return rec.Value.used(), nil
		}
	}
	res := Resource{Charm: charmName, Name: name, Revision: number.take(), SHA256: want.SHA256, Size: want.Size, User: by.User, Added: by.Now}
	number.save(t)
	t.Create(m.ResourcePath(charmName, name, res.Revision), res)
	return res.used(), nil
}

func (r Resource) used() UsedResource { return UsedResource{r.Revision, r.SHA256, r.Size} }

// KeptResources is how many revisions of a resource are kept although no application has them.
const KeptResources = 5

// TrimResources removes the revisions that no application has, but for the newest few of each resource, and returns the SHA-256 of
// what is left. An application that is just being given one of them is not committed.
func TrimResources(ctx context.Context, r Reader, m ModelID) (t Txn, left map[string]bool, err error) {
	names, err := ChildrenIf(ctx, r, m.ResourcesPath())
	if err != nil || len(names) == 0 {
		return t, nil, err
	}
	apps, err := ChildrenIf(ctx, r, m.ApplicationsPath())
	if err != nil {
		return t, nil, err
	}
	used := map[string]bool{}
	for _, a := range apps {
		app, err := ReadIf[Application](ctx, r, m.ApplicationPath(ApplicationName(a)))
		if err != nil {
			return t, nil, err
		}
		for _, res := range app.Value.Resources {
			used[res.SHA256] = true
		}
	}
	all := map[string][]Record[Resource]{}
	for _, name := range names {
		rec, err := ReadIf[Resource](ctx, r, m.ResourcesPath()+"/"+name)
		if err != nil {
			return t, nil, err
		}
		if rec.Exists() {
			key := rec.Value.Charm + "+" + rec.Value.Name
			all[key] = append(all[key], rec)
		}
	}
	left = map[string]bool{}
	for _, recs := range all {
		slices.SortFunc(recs, func(a, b Record[Resource]) int { return b.Value.Revision - a.Value.Revision })
		unused := 0
		for _, rec := range recs {
			if !used[rec.Value.SHA256] {
				unused++
			}
			if used[rec.Value.SHA256] || unused <= KeptResources || t.full() {
				left[rec.Value.SHA256] = true
				continue
			}
			t.Delete(rec.Path, rec.Version)
		}
	}
	return t, left, nil
}
