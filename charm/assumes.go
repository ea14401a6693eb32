package charm

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	expression = regexp.MustCompile(`^\s*([a-zA-Z][a-zA-Z0-9_.-]*)\s*(?:(>=|<)\s*(\S+)\s*)?$`)
	version    = regexp.MustCompile(`^(\d{1,9})(?:\.(\d{1,9}))?(?:(\.|-[a-z]+)(\d{1,9}))?(?:\.(\d{1,9}))?(?:-.*)?$`)
)

// CheckAssumes returns the reasons why a charm with these assumes cannot run under a controller which advertises the
// version of Juju and has the features, which are plain names. No reason means that it can.
func CheckAssumes(assumes []any, jujuVersion string, features []string) []string {
	var reasons []string
	for _, a := range assumes {
		reasons = append(reasons, unmet(a, jujuVersion, features)...)
	}
	return reasons
}

func unmet(assume any, jujuVersion string, features []string) []string {
	if group, ok := assume.(map[string]any); ok {
		var reasons []string
		if all, ok := group["all-of"].([]any); ok {
			reasons = CheckAssumes(all, jujuVersion, features)
		}
		if any, ok := group["any-of"].([]any); ok {
			reasons = append(reasons, unmetAny(any, jujuVersion, features)...)
		}
		return reasons
	}
	text, _ := assume.(string)
	m := expression.FindStringSubmatch(text)
	if m == nil {
		return []string{fmt.Sprintf("charm assumes %q, which is not understood", text)}
	}
	feature, op, want := m[1], m[2], m[3]
	switch {
	case feature == "juju" && op == "":
		return nil
	case feature == "juju":
		order, ok := compareVersions(jujuVersion, want)
		if ok && (op == ">=") == (order >= 0) {
			return nil
		}
		return []string{fmt.Sprintf("charm requires juju %s %s, this is %s", op, want, jujuVersion)}
	case !slices.Contains(features, feature):
		return []string{fmt.Sprintf("charm requires feature %q, which this model does not have", feature)}
	case op != "":
		return []string{fmt.Sprintf("charm requires feature %q %s %s, and its version here is not known", feature, op, want)}
	}
	return nil
}

func unmetAny(choices []any, jujuVersion string, features []string) []string {
	var reasons []string
	for _, choice := range choices {
		r := unmet(choice, jujuVersion, features)
		if len(r) == 0 {
			return nil
		}
		reasons = append(reasons, strings.Join(r, " and "))
	}
	return []string{"charm requires at least one of several: " + strings.Join(reasons, "; or ")}
}

// readAssumes reads assumes, and the older min-juju-version as one more expression.
func readAssumes(v, oldest value) []any {
	out := readExpressions(v)
	if text := oldest.scalar(); text != "" {
		if _, ok := compareVersions(text, text); !ok {
			oldest.fail("expected a version like 2.9.0, got %q", text)
		}
		out = append(out, "juju >= "+text)
	}
	return out
}

func readExpressions(v value) []any {
	var out []any
	for _, item := range v.items() {
		if item.isText() {
			checkExpression(item)
			out = append(out, item.text())
			continue
		}
		group := map[string]any{}
		for _, e := range item.entries() {
			if e.key != "any-of" && e.key != "all-of" {
				e.value.fail("expected any-of or all-of")
			}
			group[e.key] = readExpressions(e.value)
		}
		if len(group) == 0 {
			item.fail("expected an expression like juju >= 3.1, or any-of or all-of with a list of them")
		}
		out = append(out, group)
	}
	return out
}

func checkExpression(v value) {
	m := expression.FindStringSubmatch(v.text())
	if m == nil {
		v.fail("expected a feature's name, or an expression like juju >= 3.1 or juju < 4, got %q", v.text())
		return
	}
	if _, ok := compareVersions(m[3], m[3]); m[2] != "" && !ok {
		v.fail("expected a version like 3.1 or 3.1.2, got %q", m[3])
	}
}

// compareVersions orders versions as Juju does: 3.6-beta1 is before 3.6.0, which is before 3.6.0.1.
func compareVersions(a, b string) (int, bool) {
	x, okX := splitVersion(a)
	y, okY := splitVersion(b)
	return cmp.Or(
		cmp.Compare(x.major, y.major), cmp.Compare(x.minor, y.minor),
		cmp.Compare(x.tag, y.tag), cmp.Compare(x.patch, y.patch), cmp.Compare(x.build, y.build),
	), okX && okY
}

// release sorts after the tags alpha, beta and rc.
const release = "~"

type versionParts struct {
	major, minor, patch, build int
	tag                        string
}

func splitVersion(text string) (versionParts, bool) {
	m := version.FindStringSubmatch(text)
	if m == nil {
		return versionParts{}, false
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	v := versionParts{number(m[1]), number(m[2]), number(m[4]), number(m[5]), release}
	if tag, ok := strings.CutPrefix(m[3], "-"); ok {
		v.tag = tag
	}
	return v, true
}
