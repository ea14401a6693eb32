package state

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Valid says why no Store can take t: a path that none can hold, or more than the limits. Commit asks it first.
func (t Txn) Valid() error {
	if len(t.Ops) > MaxOps {
		return fmt.Errorf("%d changes are more than %d: %w", len(t.Ops), MaxOps, ErrTooLarge)
	}
	for _, op := range t.Ops {
		if err := ValidPath(strings.TrimSuffix(op.Path, sequenceSlash(op))); err != nil {
			return err
		}
		if op.Path == "/" && op.Kind != OpCheck && op.Kind != OpSet {
			return errors.New("the root can be neither made nor deleted")
		}
		if len(op.Data) > MaxValue {
			return fmt.Errorf("the %d bytes for %s are more than %d: %w", len(op.Data), op.Path, MaxValue, ErrTooLarge)
		}
	}
	if n := t.Size(); n > MaxTxn {
		return fmt.Errorf("%d bytes are more than %d: %w", n, MaxTxn, ErrTooLarge)
	}
	return nil
}

// Failed is the error of a Commit whose op i failed for the reason err.
func (t Txn) Failed(i int, err error) error {
	verbs := [...]string{OpCheck: "check", OpCreate: "create", OpSet: "set", OpDelete: "delete"}
	op := t.Ops[i]
	if len(t.Ops) == 1 {
		return fmt.Errorf("%s %s: %w", verbs[op.Kind], op.Path, err)
	}
	return fmt.Errorf("change %d of %d: %s %s: %w", i+1, len(t.Ops), verbs[op.Kind], op.Path, err)
}

// sequenceSlash is what may end the path of op although it can end no other: a sequence may number the whole name.
func sequenceSlash(op Op) string {
	if op.Kind == OpCreate && op.Sequence && len(op.Path) > 1 {
		return "/"
	}
	return ""
}

// ValidPath says why there can be no node at path.
func ValidPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("path %q does not begin with a slash", path)
	}
	if path == "/" {
		return nil
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("path %q has a part that is no name", path)
		}
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("path %q is not UTF-8", path)
	}
	for _, r := range path {
		if r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
			return fmt.Errorf("path %q has the character %U, which no path may have", path, r)
		}
	}
	return nil
}
