package state

import (
	"errors"
	"strings"
	"testing"
)

func TestValidPath(t *testing.T) {
	for path, ok := range map[string]bool{
		"/": true, "/a": true, "/a/b-c+d=e:f": true, "/å/日本": true, "/a/.gone/b": true, "/zookeeper": true,
		"": false, "a": false, "/a/": false, "//": false, "/a//b": false, "/.": false, "/a/../b": false,
		"/a\x00": false, "/a\n": false, "/\x7f": false, "/\xff": false, "/\uf000": false, "/\U0001F600": false,
	} {
		if err := ValidPath(path); (err == nil) != ok {
			t.Errorf("ValidPath(%q) = %v", path, err)
		}
	}
}

func TestValidTxn(t *testing.T) {
	big := make([]byte, MaxValue+1)
	for _, c := range []struct {
		name  string
		ops   []Op
		ok    bool
		large bool
	}{
		{"nothing", nil, true, false},
		{"a sequence of whole names", []Op{{Kind: OpCreate, Path: "/a/", Sequence: true}}, true, false},
		{"a sequence at the root", []Op{{Kind: OpCreate, Path: "/", Sequence: true}}, false, false},
		{"a slash at the end", []Op{{Kind: OpCreate, Path: "/a/"}}, false, false},
		{"two slashes at the end", []Op{{Kind: OpCreate, Path: "/a//", Sequence: true}}, false, false},
		{"delete of the root", []Op{{Kind: OpDelete, Path: "/"}}, false, false},
		{"set of the root", []Op{{Kind: OpSet, Path: "/"}}, true, false},
		{"a value", []Op{{Kind: OpSet, Path: "/a", Data: big[1:]}}, true, false},
		{"a large value", []Op{{Kind: OpSet, Path: "/a", Data: big}}, false, true},
		{"two values that are large together", []Op{{Kind: OpSet, Path: "/a", Data: big[1:]}, {Kind: OpSet, Path: "/a", Data: big[1:]}}, false, true},
		{"many", make([]Op, MaxOps+1), false, true},
		{"long names with access for many", func() (ops []Op) {
			for range 1500 {
				ops = append(ops, Op{Kind: OpCreate, Path: ModelID("m").MemberPath(1, "", UnitName(strings.Repeat("a", 200)+"/1"))})
			}
			return ops
		}(), false, true},
	} {
		err := Txn{c.ops}.Valid()
		if (err == nil) != c.ok || errors.Is(err, ErrTooLarge) != c.large {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
