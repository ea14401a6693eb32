package nest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// idsNeeded is how many ids a container needs.
const idsNeeded = 65536

// fitIDs sees to it, on a machine that is a container itself, that the ids that root may give to containers are among those that there
// are: LXD's package takes them from beyond. It says whether it has changed anything.
func fitIDs(idMap string, files ...string) (changed bool, err error) {
	text, err := os.ReadFile(idMap)
	if err != nil {
		return false, err
	}
	count := 0
	if f := strings.Fields(string(text)); len(f) == 3 && f[0] == "0" {
		count, _ = strconv.Atoi(f[2])
	}
	if count == 0 || count >= 1<<32-1 {
		return false, nil // all of them, or a map that somebody has made with care
	}
	if count < 2*idsNeeded {
		return false, fmt.Errorf("this machine is a container with %d user ids, too few for containers in it, which need %d", count, idsNeeded)
	}
	for _, name := range files {
		old, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			return false, err
		}
		fresh, ok := within(string(old), count)
		if ok {
			continue
		}
		if err := os.WriteFile(name+".new", []byte(fresh), 0o644); err != nil {
			return false, err
		}
		if err := os.Rename(name+".new", name); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// within is the text with root's ids among the first count; ok says that they are already.
func within(text string, count int) (fresh string, ok bool) {
	first := idsNeeded
	var others []string
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 {
			continue
		}
		from, err1 := strconv.Atoi(f[1])
		n, err2 := strconv.Atoi(f[2])
		if f[0] != "root" {
			others = append(others, strings.TrimSpace(line))
			continue
		}
		if err1 == nil && err2 == nil && n >= idsNeeded && from+n <= count {
			ok = true
		}
		if err1 == nil && from+idsNeeded <= count {
			first = from
		}
	}
	others = append(others, fmt.Sprintf("root:%d:%d", first, count-first))
	return strings.Join(others, "\n") + "\n", ok
}
