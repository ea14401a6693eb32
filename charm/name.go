package charm

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	charmName  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*$`)
	actionName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
)

// ValidName says whether text may name a charm: lower-case letters, digits and hyphens; it begins with
// a letter, and no part between hyphens is digits alone.
func ValidName(text string) bool { return charmName.MatchString(text) }

// ValidApplicationName says whether text may name an application: the same rule as for charms,
// so that "web-1" is never mistaken for a unit.
func ValidApplicationName(text string) bool { return charmName.MatchString(text) }

// ValidActionName says whether text may name an action that a charm declares.
func ValidActionName(text string) bool {
	return actionName.MatchString(text) && text != "juju" && !strings.HasPrefix(text, "juju-")
}

// ValidEndpointName says whether text may name an endpoint, a binding or a storage. Old charms have odd names, so
// only that is refused which could not be a file's or a node's name, or would not survive a command line.
func ValidEndpointName(text string) bool {
	return text != "" && text[0] != '.' && text[0] != '-' && len(text) <= 200 && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool {
			return strings.ContainsRune(`/:\,="'`, r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
		})
}
