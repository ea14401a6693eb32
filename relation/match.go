package relation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grigri/grigri/charm"
)

// ErrNone means that no endpoint of the one application fits one of the other.
var ErrNone = errors.New("no compatible endpoints found between applications")

// ParseEndpoint reads "web:db" or "web", which leaves endpoint empty.
func ParseEndpoint(text string) (application, endpoint string, err error) {
	application, endpoint, named := strings.Cut(text, ":")
	switch {
	case strings.Contains(endpoint, ":"):
		err = errors.New("more than one colon")
	case !charm.ValidApplicationName(application):
		err = fmt.Errorf("%q is not an application's name", application)
	case named && !charm.ValidEndpointName(endpoint):
		err = fmt.Errorf("%q is not an endpoint's name", endpoint)
	}
	if err != nil {
		return "", "", fmt.Errorf("invalid endpoint %q: %w, expected APPLICATION or APPLICATION:ENDPOINT", text, err)
	}
	return application, endpoint, nil
}

// Find picks the endpoints that the user means. The texts are what the user wrote, "web" or "web:db"; a and b are
// all endpoints of the applications they name, as Endpoints gives them. The result and the errors are those of Match.
func Find(aText string, a []Endpoint, bText string, b []Endpoint) ([2]Endpoint, error) {
	a, err := named(aText, a)
	if err != nil {
		return [2]Endpoint{}, err
	}
	b, err = named(bText, b)
	if err != nil {
		return [2]Endpoint{}, err
	}
	return match(aText, a, bText, b)
}

func named(text string, eps []Endpoint) ([]Endpoint, error) {
	application, name, err := ParseEndpoint(text)
	if err != nil || name == "" {
		return eps, err
	}
	i := slices.IndexFunc(eps, func(e Endpoint) bool { return e.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("application %q has no %q relation, it has %s", application, name, names(eps))
	}
	return eps[i : i+1], nil
}

func names(eps []Endpoint) string {
	var out []string
	for _, e := range eps {
		out = append(out, e.Name)
	}
	return strings.Join(out, ", ")
}

// Match returns the one pair, one endpoint of a and one of b in this order, that can make a relation: a requirer and
// a provider of the same interface in different applications. The implicit juju-info is chosen only when
// nothing else fits: to choose it in spite of others, give it alone. When either end has container scope both have it in
// the result, and one of the applications must be a subordinate. The error is ErrNone, or lists
// all that would fit.
func Match(a, b []Endpoint) (pair [2]Endpoint, err error) {
	if len(a) == 0 || len(b) == 0 {
		return pair, ErrNone
	}
	return match(a[0].Application, a, b[0].Application, b)
}

func match(aText string, a []Endpoint, bText string, b []Endpoint) ([2]Endpoint, error) {
	var explicit, implicit [][2]Endpoint
	for _, x := range a {
		for _, y := range b {
			switch {
			case !fit(x, y):
			case isJujuInfo(x) || isJujuInfo(y):
				implicit = append(implicit, scoped(x, y))
			default:
				explicit = append(explicit, scoped(x, y))
			}
		}
	}
	found := explicit
	if len(found) == 0 {
		found = implicit
	}
	switch len(found) {
	case 0:
		return [2]Endpoint{}, ErrNone
	case 1:
		return found[0], nil
	}
	var keys []string
	for _, pair := range found {
		keys = append(keys, fmt.Sprintf("%q", Key(pair[:])))
	}
	slices.Sort(keys)
	return [2]Endpoint{}, fmt.Errorf("ambiguous relation: %q could refer to %s", aText+" "+bText, strings.Join(keys, "; "))
}

func fit(x, y Endpoint) bool {
	if x.Application == y.Application || x.Interface != y.Interface {
		return false
	}
	if scope(x, y) == charm.Container && !x.Subordinate && !y.Subordinate {
		return false
	}
	return x.Role == charm.Requirer && y.Role == charm.Provider || x.Role == charm.Provider && y.Role == charm.Requirer
}

func isJujuInfo(e Endpoint) bool { return e.Endpoint == charm.JujuInfo() }

func scope(x, y Endpoint) charm.Scope {
	if x.Scope == charm.Container || y.Scope == charm.Container {
		return charm.Container
	}
	return charm.Global
}

func scoped(x, y Endpoint) [2]Endpoint {
	x.Scope, y.Scope = scope(x, y), scope(x, y)
	return [2]Endpoint{x, y}
}
