package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParametersOfAnAction(t *testing.T) {
	type m = map[string]any
	file := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte("a: 1\nb: {c: text, d: [1, no]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file, stdin string
		words       string
		asStrings   bool
		want        m
	}{
		{"", "", "", false, m{}},
		{"", "", "n=5 f=1.5 t=true y=yes s=word e= q='5' l=[1,x] m={k:v}", false,
			m{"n": int64(5), "f": 1.5, "t": true, "y": true, "s": "word", "e": nil, "q": "5", "l": []any{int64(1), "x"}, "m": m{"k:v": nil}}},
		{"", "", "n=5 t=true e= m={k:v} eq=a=b", true, m{"n": "5", "t": "true", "e": "", "m": "{k:v}", "eq": "a=b"}},
		{"", "", "a.b.c=1 a.b.d=2 a.e=3", false, m{"a": m{"b": m{"c": int64(1), "d": int64(2)}, "e": int64(3)}}},
		{"", "", "a=1 a.b=2 a.b=3", false, m{"a": m{"b": int64(3)}}},
		{file, "", "", false, m{"a": int64(1), "b": m{"c": "text", "d": []any{int64(1), false}}}},
		{file, "", "a=2 b.c=new", false, m{"a": int64(2), "b": m{"c": "new", "d": []any{int64(1), false}}}},
		{"-", `{"a": {"b": 1}}`, "a.c=2", false, m{"a": m{"b": int64(1), "c": int64(2)}}},
	} {
		c := &cli{name: "grigri", in: strings.NewReader(test.stdin)}
		params, err := c.paramsFile(test.file)
		for _, w := range strings.Fields(test.words) {
			if err == nil {
				err = setParam(params, w, test.asStrings)
			}
		}
		if err != nil || !reflect.DeepEqual(params, test.want) {
			t.Errorf("%s %s: %#v, %v; want %#v", test.file, test.words, params, err, test.want)
		}
	}
	if _, err := (&cli{in: strings.NewReader("[1]")}).paramsFile("-"); err == nil || !strings.Contains(err.Error(), "expected a map, got a list") {
		t.Errorf("a list as parameters: %v", err)
	}
}
