package query

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func schema() *Schema {
	unit := &Schema{Name: "unit", Fields: map[string]Type{"name": {Kind: Text}, "life": {Kind: Text}, "workload-status": {Kind: Text, Why: "message"}, "message": {Kind: Text}, "leader": {Kind: Flag}}}
	return &Schema{Name: "application", Fields: map[string]Type{"name": {Kind: Text}, "life": {Kind: Text}, "status": {Kind: Text, Why: "status-message"}, "status-message": {Kind: Text}, "exposed": {Kind: Flag},
		"workload-version": {Kind: Text}, "scale": {Kind: Number}, "units": {Kind: Many, Of: unit}, "first": {Kind: One, Of: unit}}}
}

func web() Entity {
	unit := func(name, status string, leader bool) Entity {
		return Entity{"name": name, "life": "alive", "workload-status": status, "leader": leader}
	}
	zero := unit("web/0", "active", true)
	return Entity{"name": "web", "life": "alive", "status": "waiting", "exposed": false, "workload-version": "3.7b", "scale": 2.0, "first": zero,
		"units": Set{"web/0": zero, "web/1": unit("web/1", "waiting", false), "web/10": unit("web/10", "blocked", false)}}
}

func TestQueries(t *testing.T) {
	for query, want := range map[string]bool{
		`life=="alive" && status=="waiting"`:          true,
		`life == 'alive' && status == 'active'`:       false,
		`life=="alive" || status=="active"`:           true,
		`status=="active" || life=="dead" || exposed`: false,
		`exposed`:                        false,
		`!exposed`:                       true,
		`! exposed && !!(life=="alive")`: true,
		`exposed == false`:               true,
		`exposed != true`:                true,
		`status`:                         true,
		`len(units)`:                     true,
		`len(units) == 3`:                true,
		`len(units)>3`:                   false,
		`len(units) >= 3 && len(units) <= 3 && len(units) < 4 && 4 > 3`: true,
		`len(name) == 3`: true,
		`scale == 2 && scale == 2.0 && scale > -1 && scale != 3`:               true,
		`name < "xyz" && name > "abc" && name <= "web"`:                        true,
		`false || true && false`:                                               false,
		`true || true && false`:                                                true,
		`(true || true) && false`:                                              false,
		`true == (1 < 2)`:                                                      true,
		`first.workload-status == "active"`:                                    true,
		`units["web/0"].leader`:                                                true,
		`units['web/1'].leader`:                                                false,
		`units["web/7"]`:                                                       false,
		`units["web/7"].life == "alive"`:                                       false,
		`units["web/7"].life != "alive"`:                                       true,
		`units["web/7"].life < "alive" || units["web/7"].life >= "alive"`:      false,
		`units["web/" + "7"].life == "alive"`:                                  false, // see below: no such operator
		`forEach(units, unit => unit.life == "alive")`:                         true,
		`forEach(units, unit => unit.workload-status == "active")`:             false,
		`forEach(units, u=>startsWith(u.name, name) && !endsWith(u.name,"9"))`: true,
		`forEach(units, u => u.leader || forEach(units, v => v.leader == (v.name == "web/0")))`: true,
		`startsWith(name, "we") && endsWith(name, 'eb') && !startsWith(name, "b")`:              true,
		`int("3") == 3 && int(3.9) == 3 && int(true) == 1 && float("2.5") == 2.5`:               true,
		`string(3) == "3" && string(2.5) == "2.5" && string(exposed) == "false"`:                true,
		`int(workload-version) > 3`:                              false, // it is no number: nothing
		`int(workload-version) <= 3`:                             false,
		`len(units["web/7"].name) == 0`:                          false,
		`print(status) == "waiting"`:                             true,
		`"a\"b" == 'a"b' && "a\\" == 'a\\' && 'it\'s' == "it's"`: true,
		" life\n==\t\"alive\"\r\n":                               true,
	} {
		q, err := Parse(query, schema())
		if strings.Contains(query, "+") {
			if err == nil {
				t.Errorf("%s: no error", query)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := q.Ask(web()); got.Holds != want || got.Holds != (len(got.Unmet) == 0) {
			t.Errorf("%s: got %+v, want %v", query, got, want)
		}
	}
}

func TestForEachOfNothing(t *testing.T) {
	q, err := Parse(`forEach(units, unit => unit.life == "dead")`, schema())
	if err != nil {
		t.Fatal(err)
	}
	if a := q.Ask(Entity{"units": Set{}}); !a.Holds {
		t.Errorf("of an empty set: %+v", a)
	}
	if a := q.Ask(Entity{}); a.Holds || len(a.Unmet) != 1 || a.Unmet[0].Now["units"] != nil {
		t.Errorf("of a set that is not there: %+v", a)
	}
}

func TestErrorsPointAtTheColumn(t *testing.T) {
	for query, want := range map[string]string{
		``:                            `column 1: the query ends where a value should be`,
		`stats=="active"`:             `column 1: application has no field "stats": it has exposed, first, life, name, scale, status, status-message, units, workload-version`,
		`life=="alive" && stats=="x"`: `column 18: application has no field "stats": it has`,
		`name=="ü" && stats`:          `column 14: application has no field`,
		`first.status == "x"`:         `column 7: unit has no field "status": it has leader, life, message, name, workload-status`,
		`forEach(units, u => u.age)`:  `column 23: unit has no field "age"`,
		`name.life`:                   `column 6: a string has no fields`,
		`units.life`:                  `column 7: a set of units has no fields`,
		`first["web/0"]`:              `column 1: one unit has no elements`,
		`units[0]`:                    `column 7: the name of an element is a string, not a number`,
		`units["web/0"`:               `column 14: the query ends where ] should be`,
		`life = "alive"`:              `column 6: a single = means nothing here: write ==`,
		`life & status`:               `column 6: a single & means nothing here: write &&`,
		`life == "alive`:              `column 9: the string that begins here does not end: a " is missing`,
		`life == alive`:               `column 9: application has no field "alive"`,
		`life == 3`:                   `column 9: a string is compared with a number`,
		`exposed < true`:              `column 1: true or false cannot be compared with <`,
		`units == 3`:                  `column 1: a set of units cannot be compared with ==`,
		`life == "alive" status`:      `column 17: status is where an operator, or the end, should be`,
		`life == "alive" &&`:          `column 19: the query ends where a value should be`,
		`&& life`:                     `column 1: && is where a value should be`,
		`(life == "alive"`:            `column 17: the query ends where ) should be`,
		`life == "alive")`:            `column 16: ) is where an operator, or the end, should be`,
		`life "alive"`:                `column 6: a string is where an operator, or the end, should be`,
		`unit => unit.life`:           `column 6: => belongs into forEach`,
		`forEach(units)`:              `column 14: ) is where , and what is to hold for each element should be`,
		`forEach(units, unit.life)`:   `column 20: . is where =>, as in forEach(units, unit => unit.life == "alive"), should be`,
		`forEach(life, u => u.life)`:  `column 9: forEach wants a set, not a string`,
		`count(units)`:                `column 1: there is no function count: there are forEach, endsWith, float, int, len, print, startsWith, string`,
		`len(units, units)`:           `column 1: len takes 1 arguments, not 2`,
		`len(exposed)`:                `column 5: len cannot take true or false`,
		`startsWith(name)`:            `column 1: startsWith takes 2 arguments, not 1`,
		`life == "alive" # it lives`:  `column 17: '#' means nothing here`,
		`len(units) == 1.2.3`:         `column 15: 1.2.3 is not a number`,
		`scale - 1`:                   `column 7: '-' means nothing here`,
		strings.Repeat("(", 1000):     `column 201: more than 200 parts lie in one another`,
		`len(units)==1` + strings.Repeat("0", 400): `column 13: 1000`,
		"life == \xff": `column 9: '�' means nothing here`,
	} {
		_, err := Parse(query, schema())
		var at *Error
		if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", query, err, want)
		}
	}
}

func TestUnmetNamesWhatDoesNotHold(t *testing.T) {
	explained := web()
	explained["status-message"], explained["first"].(Entity)["message"] = "for a db", "serving"
	for query, want := range map[string][]string{
		`life=="alive"`:                       nil,
		`life=="alive" && status == "active"`: {`status == "active" (status is "waiting")`},
		`exposed && status=="active"`:         {`exposed (exposed is false)`, `status=="active" (status is "waiting")`},
		`life=="alive" && (status=="active" || exposed == true) && scale==2`: {`status=="active" || exposed == true (exposed is false, status is "waiting")`},
		`forEach(units, u => u.workload-status=="active")`: {`unit web/1: u.workload-status=="active" (u.workload-status is "waiting")`,
			`unit web/10: u.workload-status=="active" (u.workload-status is "blocked")`},
		`forEach(units, u => forEach(units, v => u.name == v.name || v.name != "web/0"))`: {
			`unit web/1, unit web/0: u.name == v.name || v.name != "web/0" (u.name is "web/1", v.name is "web/0")`,
			`unit web/10, unit web/0: u.name == v.name || v.name != "web/0" (u.name is "web/10", v.name is "web/0")`},
		`len(units) > 3 && int(workload-version) > 3`: {`len(units) > 3 (len(units) is 3)`, `int(workload-version) > 3 (int(workload-version) is not there)`},
		`units["web/7"].life == "alive"`:              {`units["web/7"].life == "alive" (units["web/7"].life is not there)`},
		`!(life == "alive") && !units`:                {`!(life == "alive") (life is "alive")`, `!units (units is {"web/0", "web/1", "web/10"})`},
		`((startsWith(name, "x")))`:                   {`startsWith(name, "x") (name is "web")`},
		`first.workload-status == "idle"`:             {`first.workload-status == "idle" (first.message is "serving", first.workload-status is "active")`},
		`name == "db" && status == ""`:                {`name == "db" (name is "web")`, `status == "" (status is "waiting", status-message is "for a db")`},
		`"a" == "b"`:                                  {`"a" == "b"`},
	} {
		q, err := Parse(query, schema())
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		var got []string
		about := web()
		if strings.Contains(query, "first") || strings.Contains(query, "db") {
			about = explained
		}
		for _, u := range q.Ask(about).Unmet {
			got = append(got, u.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", query, got, want)
		}
	}
}

func TestPrint(t *testing.T) {
	q, err := Parse(`print(status) == "active" && print(life) == "alive" || print(len(units)) == 3 && print(first) && print(units) && print(units["x"])`, schema())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`status is "waiting"`, `len(units) is 3`, `first is {leader: true, life: "alive", name: "web/0", workload-status: "active"}`,
		`units is {"web/0", "web/1", "web/10"}`, `units["x"] is not there`}
	if got := q.Ask(web()).Printed; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A query that is read can be asked, of what is there and of what is not; one that is not says where the fault is.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`life=="alive" && status=='active'`, `forEach(units, u => u.leader || !u.name)`, `len(units) >= -1.5`, `units["web/0"].life`,
		`int(string(float("3"))) < 4`, `print(first).leader == (1 != 2)`, `((`, `"a\`, `startsWith(name,"w")`, `a=>b`, "\xff"} {
		f.Add(seed)
	}
	about := schema()
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text, about)
		if err != nil {
			var at *Error
			if !errors.As(err, &at) || at.Column < 1 || at.Column > utf8.RuneCountInString(text)+1 || at.Message == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		for _, e := range []Entity{web(), {}, nil} {
			a := q.Ask(e)
			if a.Holds != (len(a.Unmet) == 0) {
				t.Fatalf("%q: %+v", text, a)
			}
			if _, err := json.Marshal(a.Unmet); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
