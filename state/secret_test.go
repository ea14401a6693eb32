package state_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/grigri/grigri/state"
)

func TestParseSecret(t *testing.T) {
	const id = "9m4e2mr0ui3e8a215n4g"
	for text, want := range map[string]state.SecretID{id: id, "secret:" + id: id, "secret://2b6f/" + id: id,
		"": "", "secret:": "", "//2b6f/" + id: "", "secret:x": "", id + "0": "", "9M4E2MR0UI3E8A215N4G": "", "9m4e2mr0ui3e8a215n4z": ""} {
		got, err := state.ParseSecret(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestSecretContent(t *testing.T) {
	for name, pairs := range map[string]map[string]string{
		"nothing": {}, "a short key": {"ab": "x"}, "upper case": {"Key": "x"}, "two dashes": {"a--b": "x"}, "no base64": {"key#base64": "?"},
		"a key twice": {"key": "x", "key#base64": "eA=="}, "too much": {"key": string(make([]byte, state.MaxSecret))},
	} {
		if got, err := state.NewSecretContent(pairs); err == nil && got.Valid() == nil {
			t.Errorf("%s is taken: %v", name, got)
		}
	}
	got, err := state.NewSecretContent(map[string]string{"key": "x", "raw#base64": "AP8="})
	if want := (state.SecretContent{"key": []byte("x"), "raw": {0, 255}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
}

// Each step is one hook's, or one user's, change of the secret.
func TestSecretApply(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	value := func(sum string) *state.SealedSecret { return &state.SealedSecret{Checksum: sum} }
	to := func(a state.ApplicationName, u state.UnitName, r state.RelationID, revoke bool) state.GrantChange {
		return state.GrantChange{Grant: state.Grant{Application: a, Unit: u, Relation: r}, Revoke: revoke}
	}
	monthly, never, later := state.Rotate("monthly"), state.Rotate("never"), now.Add(time.Hour)
	var s state.Secret
	for _, step := range []struct {
		what      string
		change    state.SecretChange
		revisions []int
		grants    int
	}{
		{"made", state.SecretChange{New: &state.SecretOwner{Unit: "web/0"}, Value: value("a"), Rotate: &monthly}, []int{1}, 0},
		{"the same value", state.SecretChange{Value: value("a")}, []int{1}, 0},
		{"another", state.SecretChange{Value: value("b"), Expire: &later}, []int{1, 2}, 0},
		{"the first again", state.SecretChange{Value: value("a")}, []int{1, 2, 3}, 0},
		{"granted", state.SecretChange{Grants: []state.GrantChange{to("db", "", 1, false), to("", "log/0", 2, false), to("", "log/1", 2, false)}}, []int{1, 2, 3}, 3},
		{"granted twice", state.SecretChange{Grants: []state.GrantChange{to("db", "", 1, false)}}, []int{1, 2, 3}, 3},
		{"revoked from another relation", state.SecretChange{Grants: []state.GrantChange{to("db", "", 7, true)}}, []int{1, 2, 3}, 3},
		{"revoked from a unit", state.SecretChange{Grants: []state.GrantChange{to("", "log/0", state.NoScope, true)}}, []int{1, 2, 3}, 2},
		{"revoked from an application", state.SecretChange{Grants: []state.GrantChange{to("log", "", state.NoScope, true)}}, []int{1, 2, 3}, 1},
		{"the last word counts", state.SecretChange{Grants: []state.GrantChange{to("db", "", 1, true), to("db", "", 1, false)}}, []int{1, 2, 3}, 1},
		{"a revision removed", state.SecretChange{Revisions: []int{3}}, []int{1, 2}, 1},
		{"numbers do not come again", state.SecretChange{Value: value("c"), Rotate: &never}, []int{1, 2, 4}, 1},
		{"all removed", state.SecretChange{Revisions: []int{1, 2, 4}}, nil, 0},
	} {
		before := string(state.Encode(s))
		was := s
		s = s.Apply(step.change, now)
		if string(state.Encode(was)) != before {
			t.Errorf("%s: it has changed its argument", step.what)
		}
		var got []int
		for _, r := range s.Revisions {
			got = append(got, r.Number)
		}
		if !reflect.DeepEqual(got, step.revisions) || len(s.Grants) != step.grants {
			t.Errorf("%s: revisions %v, grants %v", step.what, got, s.Grants)
		}
		switch step.what {
		case "made":
			if want := now.AddDate(0, 1, 0); !s.NextRotate.Equal(want) {
				t.Errorf("it is rotated at %s", s.NextRotate)
			}
		case "another":
			if !s.Revisions[1].Expire.Equal(later) || !s.Revisions[0].Expire.IsZero() {
				t.Errorf("what expires is not the latest alone: %+v", s.Revisions)
			}
		case "numbers do not come again":
			if !s.NextRotate.IsZero() {
				t.Error("it is rotated still")
			}
		}
	}
	if !s.Removed {
		t.Error("a secret without a value is not removed")
	}
}

func TestSecretAccess(t *testing.T) {
	const m, id = state.ModelID("m"), state.SecretID("9m4e2mr0ui3e8a215n4g")
	app, unit := state.SecretOwner{Application: "web"}, state.SecretOwner{Unit: "web/0"}
	for _, c := range []struct {
		path string
		read []state.Principal
	}{
		{m.SecretPlacePath(id), nil},
		{m.SecretPath(state.SecretOwner{}, id), nil},
		{m.SecretPath(app, id), []state.Principal{m.ApplicationPrincipal("web")}},
		{m.SecretPath(unit, id), []state.Principal{m.UnitPrincipal("web/0")}},
		{m.SecretObsoletePath(unit, id), []state.Principal{m.UnitPrincipal("web/0")}},
		{m.SecretValuePath(app, id, 1), nil},
		{m.SecretValuePath(unit, id, 1), nil},
		{m.SecretValuePath(state.SecretOwner{}, id, 1), nil},
		{m.TrackedPath("web/0"), []state.Principal{m.UnitPrincipal("web/0")}},
		{m.SecretNewsPath("web/0"), []state.Principal{m.UnitPrincipal("web/0")}},
	} {
		acl := state.ACLFor(c.path)
		if !reflect.DeepEqual(acl.Read, c.read) {
			t.Errorf("%s may be read by %v", c.path, acl.Read)
		}
		if c.read == nil && len(acl.Principals()) > 0 {
			t.Errorf("%s is open to %v", c.path, acl.Principals())
		}
	}
	for _, path := range []string{m.SecretObsoletePath(app, id), m.SecretNewsPath("web/0")} {
		if acl := state.ACLFor(path); len(acl.Write) > 0 {
			t.Errorf("%s, which controllers write, may be written by %v", path, acl.Write)
		}
	}
}
