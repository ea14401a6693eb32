package recorder

import (
	"regexp"
	"slices"
	"strings"
)

// An invocation is one run of the recorder, normalised.
type invocation struct {
	name  string            // "db-relation-joined store/0"
	argv0 string            // within the charm's directory
	about []string          // cwd, stdin, user
	env   map[string]string //
	asked []string          // the tools' command lines, in order
	said  map[string]string // what each has answered
}

// A normaliser replaces what is another in each run.
type normaliser []struct {
	old *regexp.Regexp
	new string
}

func (n normaliser) apply(text string) string {
	for _, r := range n {
		text = r.old.ReplaceAllString(text, r.new)
	}
	return text
}

// everywhere is what differs in every environment.
func everywhere() normaliser {
	var n normaliser
	for _, r := range [][2]string{
		{`/[^ :"\n]*/tools/unit-`, "TOOLS/unit-"},
		{`/[^ :"\n]*/agents/unit-`, "AGENTS/unit-"},
		{`JUJU_API_ADDRESSES=[0-9.: ]+`, "JUJU_API_ADDRESSES=API"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "UUID"},
		{`(JUJU_CONTEXT_ID=.*-)[0-9a-f]{32}`, "${1}HEX32"},
		{`JUJU_MODEL_NAME=.*`, "JUJU_MODEL_NAME=MODEL"},
		{`,"since":"[0-9: Z-]+"`, ""},
		// How far others are is their own affair; that they go is not.
		{`"status":"(?:allocating|waiting|maintenance|active|unknown|joining|joined|error)"}`, `"status":"-"}`},
		{`"[a-z0-9/]+":{"status":"dying"},`, ""}, // when it is gone for good is its own affair too
		{`,?"[a-z0-9/]+":{"status":"dying"}`, ""},
	} {
		n = append(n, struct {
			old *regexp.Regexp
			new string
		}{regexp.MustCompile(r[0]), r[1]})
	}
	return n
}

// parse reads a recording.
func parse(text string, n normaliser) []invocation {
	var out []invocation
	command := ""
	for line := range strings.SplitSeq(strings.TrimSuffix(n.apply(text), "\n"), "\n") {
		if name, ok := strings.CutPrefix(line, "=== "); ok {
			out = append(out, invocation{name: strings.TrimSpace(name), env: map[string]string{}, said: map[string]string{}})
			command = ""
			continue
		}
		if len(out) == 0 {
			continue
		}
		v := &out[len(out)-1]
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "$":
			command = rest
			v.asked = append(v.asked, command)
			v.said[command] = ""
		case command != "":
			v.said[command] += line + "\n"
		case word == "argv0":
			_, v.argv0, _ = strings.Cut(rest, "/charm/")
		case word == "env":
			key, value, _ := strings.Cut(rest, "=")
			v.env[key] = value
		default:
			v.about = append(v.about, line)
		}
	}
	return out
}

// collapse makes one of what has run several times on end because time has passed.
func collapse(all []invocation) []invocation {
	return slices.CompactFunc(slices.Clone(all), func(a, b invocation) bool {
		return a.name == "update-status" && b.name == "update-status"
	})
}
