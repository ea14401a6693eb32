package charm

import (
	"strconv"
	"strings"
)

func readMeta(v value) Meta {
	m := Meta{
		Name:        v.get("name").required(),
		Summary:     v.get("summary").required(),
		Description: v.get("description").required(),
		Subordinate: v.get("subordinate").boolean(),
		Endpoints:   map[string]Endpoint{},
		Storage:     readStorage(v.get("storage")),
		Resources:   readResources(v.get("resources")),
		Payloads:    readPayloads(v.get("payloads")),
		Series:      texts(v.get("series")),
		Assumes:     readAssumes(v.get("assumes"), v.get("min-juju-version")),
	}
	if !ValidName(m.Name) {
		v.get("name").fail("%q is not a charm's name, expected lower-case letters, digits and hyphens, "+
			"a letter first, and a letter in every part", m.Name)
	}
	readEndpoints(m.Endpoints, v.get("provides"), Provider)
	readEndpoints(m.Endpoints, v.get("requires"), Requirer)
	readEndpoints(m.Endpoints, v.get("peers"), Peer)
	m.ExtraBindings = readBindings(v.get("extra-bindings"), m.Endpoints)
	if m.Subordinate && !hasContainerScope(m.Endpoints) {
		v.get("subordinate").fail("a subordinate needs an endpoint under requires with scope: container")
	}
	checkDevices(v.get("devices"))
	for _, key := range []string{"containers", "deployment"} {
		if !v.get(key).empty() {
			v.get(key).fail("charms that run on Kubernetes cannot be deployed to machines")
		}
	}
	return m
}

func readEndpoints(into map[string]Endpoint, v value, role Role) {
	for _, e := range v.entries() {
		if !ValidEndpointName(e.key) {
			e.value.fail("%q cannot be an endpoint's name", e.key)
		}
		if other, taken := into[e.key]; taken {
			e.value.fail("the name is taken by a %s endpoint", other.Role)
		}
		into[e.key] = readEndpoint(e.key, e.value, role)
	}
}

// readEndpoint reads "http" or a map with interface, scope, limit and optional.
func readEndpoint(name string, v value, role Role) Endpoint {
	ep := Endpoint{Name: name, Role: role, Scope: Global}
	if v.isText() {
		ep.Interface = v.text()
		return ep
	}
	ep.Interface = v.get("interface").required()
	ep.Scope = Scope(v.get("scope").word(string(Global), string(Global), string(Container)))
	ep.Optional = v.get("optional").boolean()
	ep.Limit = v.get("limit").integer()
	if ep.Interface == "" {
		v.get("interface").fail("expected the name of an interface")
	}
	if ep.Limit < 0 {
		v.get("limit").fail("expected a number that is not negative, got %d", ep.Limit)
	}
	return ep
}

func hasContainerScope(eps map[string]Endpoint) bool {
	for _, ep := range eps {
		if ep.Role == Requirer && ep.Scope == Container {
			return true
		}
	}
	return false
}

func readBindings(v value, eps map[string]Endpoint) []string {
	if v.empty() {
		return nil
	}
	var out []string
	for _, e := range v.entries() {
		if _, taken := eps[e.key]; taken {
			e.value.fail("the name is taken by an endpoint")
		}
		if !ValidEndpointName(e.key) {
			e.value.fail("%q cannot be a binding's name", e.key)
		}
		out = append(out, e.key)
	}
	if len(out) == 0 {
		v.fail("expected at least one name")
	}
	return out
}

func readResources(v value) map[string]Resource {
	out := map[string]Resource{}
	for _, e := range v.entries() {
		r := Resource{
			Type:        e.value.get("type").word("", "file", "oci-image"),
			Filename:    e.value.get("filename").text(),
			Description: e.value.get("description").text(),
		}
		if !ValidEndpointName(e.key) {
			e.value.fail("%q cannot be a resource's name", e.key)
		}
		if r.Type == "file" && r.Filename == "" {
			e.value.get("filename").fail("missing, expected the name of the file")
		}
		if strings.Contains(r.Filename, "/") || r.Filename == "." || r.Filename == ".." {
			e.value.get("filename").fail("expected a file name without a directory, got %q", r.Filename)
		}
		out[e.key] = r
	}
	return out
}

func readPayloads(v value) map[string]string {
	out := map[string]string{}
	for _, e := range v.entries() {
		out[e.key] = e.value.get("type").required()
	}
	return out
}

// checkDevices checks what machines have no use for.
func checkDevices(v value) {
	for _, e := range v.entries() {
		e.value.get("type").required()
		low, high := e.value.get("countmin").integer(), e.value.get("countmax")
		if low < 0 {
			e.value.get("countmin").fail("expected a number that is not negative, got %d", low)
		}
		if !high.empty() && high.integer() < low {
			high.fail("expected at least countmin, which is %d, got %d", low, high.integer())
		}
	}
}

func texts(v value) []string {
	var out []string
	for _, item := range v.items() {
		out = append(out, item.scalar())
	}
	return out
}

func readStorage(v value) map[string]Storage {
	out := map[string]Storage{}
	for _, e := range v.entries() {
		s := Storage{
			Type:        e.value.get("type").word("", "filesystem", "block"),
			Description: e.value.get("description").text(),
			Shared:      e.value.get("shared").boolean(),
			ReadOnly:    e.value.get("read-only").boolean(),
			MinimumMiB:  readSize(e.value.get("minimum-size")),
			Location:    e.value.get("location").text(),
		}
		s.Min, s.Max = readRange(e.value.get("multiple").get("range"))
		if !ValidEndpointName(e.key) {
			e.value.fail("%q cannot be a storage's name", e.key)
		}
		if s.Location != "" && s.Type != "filesystem" {
			e.value.get("location").fail("only a filesystem has a location")
		}
		out[e.key] = s
	}
	return out
}

// readRange reads how many of a storage a unit has: "2", "1-3", "1-" or "1+". The greatest is -1 when there is none.
func readRange(v value) (least, most int) {
	text := v.scalar()
	if text == "" {
		return 1, 1
	}
	from, to, isRange := strings.Cut(text, "-")
	if strings.HasSuffix(from, "+") && !isRange {
		from, isRange = strings.TrimSuffix(from, "+"), true
	}
	least, err := strconv.Atoi(from)
	most = least
	switch {
	case isRange && to == "":
		most = -1
	case isRange && err == nil:
		most, err = strconv.Atoi(to)
	}
	if err != nil || least < 0 || most == 0 || most > 0 && most < least {
		v.fail(`expected a count of 1 or more, or a range like 0-1 or 1-, got %q`, text)
	}
	return least, most
}

// readSize reads a size in MiB; a suffix of M, G, T or P multiplies.
func readSize(v value) int {
	text := v.scalar()
	if text == "" {
		return 0
	}
	n, ok := ParseSize(text)
	if !ok {
		v.fail("expected a size like 512M or 1G, got %q", text)
	}
	return n
}

// ParseSize reads a size and returns it in MiB, rounded up; a suffix of M, G, T or P multiplies, and MiB, GB and so on are the same.
func ParseSize(text string) (mib int, ok bool) {
	number := strings.TrimSuffix(strings.TrimSuffix(text, "B"), "i")
	mult := 1.0
	for i, suffix := range []string{"M", "G", "T", "P"} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, mult = rest, float64(int64(1)<<(10*i))
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" || n*mult > 1<<40 {
		return 0, false
	}
	mib = int(n * mult)
	if float64(mib) < n*mult {
		mib++
	}
	return mib, true
}
