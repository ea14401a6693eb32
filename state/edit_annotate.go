package state

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
)

// Annotations is what users and their tools note of applications and machines, by key. Nothing here makes anything of them.
type Annotations struct {
	Applications map[ApplicationName]map[string]string `json:"applications,omitempty"`
	Machines     map[MachineID]map[string]string       `json:"machines,omitempty"`
}

// Annotate changes annotations: an empty value removes one. Those that are not named stay.
func Annotate(ctx context.Context, r Reader, m ModelID, by By, set Annotations) (Txn, error) {
	var t Txn
	var about []string
	for _, name := range slices.Sorted(maps.Keys(set.Applications)) {
		rec, err := application(ctx, r, m, name)
		if err != nil {
			return Txn{}, err
		}
		before := Encode(rec.Value)
		if rec.Value.Annotations, err = annotated(rec.Value.Annotations, set.Applications[name]); err != nil {
			return Txn{}, err
		}
		if !bytes.Equal(before, Encode(rec.Value)) {
			t.Set(rec.Path, rec.Value, rec.Version)
			about = append(about, string(name))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(set.Machines)) {
		rec, err := Read[Machine](ctx, r, m.MachinePath(id))
		if err = missing(err, "machine", string(id)); err != nil {
			return Txn{}, err
		}
		before := Encode(rec.Value)
		if rec.Value.Annotations, err = annotated(rec.Value.Annotations, set.Machines[id]); err != nil {
			return Txn{}, err
		}
		if !bytes.Equal(before, Encode(rec.Value)) {
			t.Set(rec.Path, rec.Value, rec.Version)
			about = append(about, "machine "+string(id))
		}
	}
	if len(about) > 0 {
		by.record(&t, m, "annotate", strings.Join(about, ", "))
	}
	return t, nil
}

// annotated is have with the changes of set; nil when nothing is left.
func annotated(have, set map[string]string) (map[string]string, error) {
	out := map[string]string{}
	maps.Copy(out, have)
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if key == "" || strings.ContainsAny(key, ".$\x00") {
			return nil, invalid("invalid annotation key %q: it cannot be empty, nor have \".\" or \"$\" in it", key)
		}
		if out[key] = set[key]; set[key] == "" {
			delete(out, key)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// ReadAnnotations is all annotations of the model.
func ReadAnnotations(ctx context.Context, r Reader, m ModelID) (Annotations, error) {
	out := Annotations{Applications: map[ApplicationName]map[string]string{}, Machines: map[MachineID]map[string]string{}}
	names, err := ChildrenIf(ctx, r, m.ApplicationsPath())
	if err != nil {
		return out, err
	}
	for _, name := range names {
		rec, err := ReadIf[Application](ctx, r, m.ApplicationPath(ApplicationName(name)))
		if err != nil {
			return out, err
		}
		if a := rec.Value.Annotations; a != nil {
			out.Applications[ApplicationName(name)] = a
		}
	}
	nodes, err := ChildrenIf(ctx, r, m.MachinesPath())
	if err != nil {
		return out, err
	}
	for _, node := range nodes {
		id := MachineOfNode(node)
		rec, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
		if err != nil {
			return out, err
		}
		if a := rec.Value.Annotations; a != nil {
			out.Machines[id] = a
		}
	}
	return out, nil
}
