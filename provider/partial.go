package provider

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A PartialError comes with a listing that lacks instances of which is known that they are there, and nothing else: not even whose they are.
// It wraps ErrTransient.
type PartialError struct {
	Silent map[InstanceID]string // why no more is known of each
}

// Error implements error.
func (e *PartialError) Error() string {
	why := map[string][]string{}
	for _, id := range slices.Sorted(maps.Keys(e.Silent)) {
		why[e.Silent[id]] = append(why[e.Silent[id]], string(id))
	}
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		all = append(all, fmt.Sprintf("%s, and whose machine %s is nobody else can say", reason, strings.Join(why[reason], ", ")))
	}
	return strings.Join(all, "; ")
}

// Unwrap makes it one that may pass.
func (e *PartialError) Unwrap() error { return ErrTransient }
