package charm_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"github.com/grigri/grigri/charm"
)

var options = charm.Options{
	"s": {Type: charm.String, Default: "text"},
	"i": {Type: charm.Int, Default: int64(80)},
	"f": {Type: charm.Float},
	"b": {Type: charm.Boolean},
	"k": {Type: charm.Secret},
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		key, text string
		want      any // an error's text when it is an error
	}{
		{"s", "", ""}, {"s", "yes", "yes"}, {"s", "80", "80"}, {"s", " a\n", " a\n"},
		{"i", "80", int64(80)}, {"i", "-9223372036854775808", int64(math.MinInt64)}, {"i", "010", int64(10)},
		{"f", "1", 1.0}, {"f", "-1.5e3", -1500.0},
		{"b", "true", true}, {"b", "0", false}, {"b", "yes", true}, {"b", "Off", false}, {"b", "T", true},
		{"k", "secret:9m4e2mr0ui3e8a215n4g", "secret:9m4e2mr0ui3e8a215n4g"}, {"k", "", ""},
		{"i", "abc", errors.New(`option "i" expected int, got "abc"`)},
		{"i", "", errors.New(`option "i" expected int, got ""`)},
		{"i", "0x50", errors.New(`option "i" expected int, got "0x50"`)},
		{"i", "9223372036854775808", errors.New(`option "i" expected int, got "9223372036854775808"`)},
		{"i", "1.0", errors.New(`option "i" expected int, got "1.0"`)},
		{"f", "NaN", errors.New(`option "f" expected float, got "NaN"`)},
		{"f", "", errors.New(`option "f" expected float, got ""`)},
		{"b", "maybe", errors.New(`option "b" expected boolean, got "maybe"`)},
		{"b", "", errors.New(`option "b" expected boolean, got ""`)},
		{"k", "hunter2", errors.New(`option "k" expected secret, got "hunter2" (a secret is given as secret:ID)`)},
		{"x", "1", errors.New(`unknown option "x"`)},
	} {
		got, err := options.Parse(test.key, test.text)
		want, bad := test.want.(error)
		switch {
		case bad && (err == nil || err.Error() != want.Error() || !errors.Is(err, charm.ErrSetting)):
			t.Errorf("%s=%q: got %v, want %v", test.key, test.text, err, want)
		case !bad && (err != nil || !reflect.DeepEqual(got, test.want)):
			t.Errorf("%s=%q: got %#v, %v, want %#v", test.key, test.text, got, err, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		file string // YAML, as in a file of settings
		want map[string]any
		err  string
	}{
		{"{}", map[string]any{}, ""},
		{"{s: a, i: 1, f: 1, b: true, k: 'secret:a'}", map[string]any{"s": "a", "i": int64(1), "f": 1.0, "b": true, "k": "secret:a"}, ""},
		{"{s: 2012-01-01, i: '0x50', f: '2', b: yes}", map[string]any{"s": "2012-01-01", "i": int64(80), "f": 2.0, "b": true}, ""},
		{"{s: , i: ~, b: null}", map[string]any{"s": nil, "i": nil, "b": nil}, ""},
		{"{s: ''}", map[string]any{"s": ""}, ""},
		{"{i: abc}", nil, `option "i" expected int, got "abc"`},
		{"{i: 1.0}", nil, `option "i" expected int, got 1`},
		{"{i: 9999999999999999999}", nil, `option "i" expected int, got 9999999999999999999`},
		{"{f: 9999999999999999999}", map[string]any{"f": 9999999999999999999.0}, ""},
		{"{s: 80}", nil, `option "s" expected string, got 80`},
		{"{s: true}", nil, `option "s" expected string, got true`},
		{"{b: 1}", nil, `option "b" expected boolean, got 1`},
		{"{f: .inf}", nil, `option "f" expected float, got +Inf`},
		{"{s: [a]}", nil, `option "s" expected string, got a list`},
		{"{s: {a: 1}}", nil, `option "s" expected string, got a map`},
		{"{x: 1}", nil, `unknown option "x"`},
		{"{x: ~}", nil, `unknown option "x"`},
		{"{x: 1, y: 2, i: a, s: ok}", nil, `option "i" expected int, got "a"; unknown option "x"; unknown option "y"`},
	} {
		var settings map[string]any
		if err := yaml.Unmarshal([]byte(test.file), &settings); err != nil {
			t.Fatal(err)
		}
		got, err := options.Check(settings)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != test.err || !reflect.DeepEqual(got, test.want) || err != nil && !errors.Is(err, charm.ErrSetting) {
			t.Errorf("%s:\ngot  %#v, %v\nwant %#v, %s", test.file, got, err, test.want, test.err)
		}
	}
}

func TestEffective(t *testing.T) {
	got := options.Effective(map[string]any{"i": 5.0, "f": 2.5, "s": nil, "b": "no", "gone": 1, "k": 7})
	want := map[string]any{"s": "text", "i": int64(5), "f": 2.5, "b": false, "k": nil}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v", got)
	}
	if got := (charm.Options)(nil).Effective(nil); got == nil || len(got) != 0 {
		t.Errorf("got %#v", got)
	}
}

func TestFit(t *testing.T) {
	got := options.Fit(map[string]any{"s": 1.0, "i": "7", "f": int64(3), "b": "maybe", "k": "secret:a", "gone": "x"})
	want := map[string]any{"i": int64(7), "f": 3.0, "k": "secret:a"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v", got)
	}
}

func TestNormalize(t *testing.T) {
	in := map[string]any{"i": 5.0, "f": 5.0, "s": "5", "b": true, "k": nil, "gone": 1.0}
	got := options.Normalize(in)
	want := map[string]any{"i": int64(5), "f": 5.0, "s": "5", "b": true, "k": nil, "gone": 1.0}
	if !reflect.DeepEqual(got, want) || in["i"] != 5.0 {
		t.Errorf("got %#v, given %#v", got, in)
	}
	got = options.Normalize(map[string]any{"i": json.Number("9007199254740993"), "f": json.Number("1"), "s": json.Number("1")})
	want = map[string]any{"i": int64(9007199254740993), "f": 1.0, "s": json.Number("1")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v", got)
	}
	if got := options.Normalize(map[string]any{"i": 1.5, "f": 1e300}); got["i"] != 1.5 {
		t.Errorf("got %#v", got)
	}
	if got := options.Normalize(map[string]any{"i": 1e300}); got["i"] != 1e300 {
		t.Errorf("got %#v", got)
	}
	if got := options.Normalize(nil); got != nil {
		t.Errorf("got %#v", got)
	}
	at := time.Date(2012, 1, 1, 10, 0, 0, 0, time.UTC)
	if _, err := options.Check(map[string]any{"s": at}); err == nil {
		t.Error("a time of day was taken for text")
	}
}

// What Check has accepted stays as it is: on the way through JSON, at a refresh to the same charm, checked again.
func TestSettingsTravel(t *testing.T) {
	values := map[string]*rapid.Generator[any]{
		"s": rapid.String().AsAny(), "b": rapid.Bool().AsAny(), "f": rapid.Float64().AsAny(),
		"i": rapid.OneOf(rapid.Int64Range(-1<<53, 1<<53).AsAny(), rapid.Int().AsAny(), rapid.Just[any]("0x7f")),
	}
	rapid.Check(t, func(t *rapid.T) {
		set := map[string]any{}
		for key, gen := range values {
			if rapid.Bool().Draw(t, key+" is set") {
				set[key] = gen.Draw(t, key)
			}
		}
		checked, err := options.Check(set)
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]map[string]any{"Fit": options.Fit(checked), "Normalize": options.Normalize(checked)} {
			if !reflect.DeepEqual(got, checked) {
				t.Fatalf("%s: got %#v, want %#v", name, got, checked)
			}
		}
		effective := options.Effective(checked)
		for key, value := range checked {
			if !reflect.DeepEqual(effective[key], value) {
				t.Fatalf("Effective: %s is %#v, want %#v", key, effective[key], value)
			}
		}
		if n, isInt := checked["i"].(int64); isInt && (n > 1<<53 || n < -1<<53) {
			delete(checked, "i") // a float64, which untyped JSON becomes, does not hold it
		}
		data, err := json.Marshal(checked)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		got, err := options.Check(options.Normalize(back))
		if s, _ := checked["s"].(string); s != "" && err == nil {
			back, _ := json.Marshal(s)
			json.Unmarshal(back, &s)
			checked["s"] = s // JSON has no text that is not UTF-8
		}
		if err != nil || !reflect.DeepEqual(got, checked) {
			t.Fatalf("JSON: got %#v, %v, want %#v", got, err, checked)
		}
	})
}
