package recorder

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
)

// An invocation is one run of the recorder, normalised: all that it was given and could learn.
type invocation struct {
	step  int               // of the scenario, in which it ran
	name  string            // "db-relation-joined store/0"
	keys  []string          // of facts, in order: "argv0", "env JUJU_UNIT_NAME", "$ is-leader"
	facts map[string]string //
}

func (v *invocation) set(key, value string) {
	for n := 2; ; n++ { // a tool may be asked the same twice
		if _, twice := v.facts[key]; !twice {
			break
		}
		key = fmt.Sprintf("%s (%d)", strings.TrimSuffix(key, fmt.Sprintf(" (%d)", n-1)), n)
	}
	v.keys = append(v.keys, key)
	v.facts[key] = value
}

// A blur replaces what is another in each run, and says why it is.
type blur struct {
	why string
	old *regexp.Regexp
	new string
}

// exactly is the blur of one text.
func exactly(why, old, new string) blur {
	return blur{why, regexp.MustCompile(regexp.QuoteMeta(old) + `\b`), new}
}

// parse reads a recording.
func parse(text string, blurs []blur) []invocation {
	for _, b := range blurs {
		text = b.old.ReplaceAllString(text, b.new)
	}
	var out []invocation
	for part := range strings.SplitSeq("\n"+strings.TrimSuffix(text, "\n"), "\n=== ") {
		head, body, _ := strings.Cut(part, "\n")
		if head == "" {
			continue
		}
		v := invocation{name: strings.TrimSpace(head), facts: map[string]string{}}
		given, learnt, _ := strings.Cut(body, "\n$ ")
		for line := range strings.SplitSeq(given, "\n") {
			word, value, _ := strings.Cut(line, " ")
			if word == "env" {
				var name string
				name, value, _ = strings.Cut(value, "=")
				word += " " + name
			}
			v.set(word, value)
		}
		for answer := range strings.SplitSeq(learnt, "\n$ ") {
			command, said, _ := strings.Cut(answer, "\n")
			v.set("$ "+command, said)
		}
		out = append(out, v)
	}
	return out
}

// freeGoals leaves out of goal-state what is the affair of others than the unit: which of their units are there yet, or still, and how far
// they are. With removal, when the unit itself is told to go, and its relations are gone, is the controllers' affair.
func (v *invocation) freeGoals(t *testing.T, unit string, removal bool) {
	const key = "$ goal-state --format=json"
	var goals struct {
		Units     map[string]goal            `json:"units"`
		Relations map[string]map[string]goal `json:"relations"`
	}
	said, ok := v.facts[key]
	if !ok {
		return
	}
	if err := json.Unmarshal([]byte(said), &goals); err != nil {
		t.Fatalf("%s in %s of %s: %v", key, v.name, unit, err)
	}
	free := func(goals map[string]goal) {
		maps.DeleteFunc(goals, func(name string, g goal) bool { return name != unit && strings.Contains(name, "/") })
		for name, g := range goals {
			if name != unit || removal {
				goals[name] = goal{"ITS-OWN-AFFAIR", g.Since}
			}
		}
	}
	free(goals.Units)
	if removal {
		goals.Relations = nil
	}
	for _, of := range goals.Relations {
		free(of)
	}
	text, err := json.Marshal(goals)
	if err != nil {
		t.Fatal(err)
	}
	v.facts[key] = string(text)
}

type goal struct {
	Status string `json:"status"`
	Since  string `json:"since"`
}
