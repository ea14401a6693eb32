package main

import (
	"fmt"
	"os"
	"strings"
)

// A memory is what a process takes, in KiB: pss counts a page that n processes share as a part of n, rss whole.
type memory struct{ pss, rss int }

func (m memory) plus(o memory) memory { return memory{m.pss + o.pss, m.rss + o.rss} }

// memoryOf asks the kernel.
func memoryOf(pid int) (memory, error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	var m memory
	for line := range strings.Lines(string(data)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
			m.pss = kib
		} else if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kib); n == 1 {
			m.rss = kib
		}
	}
	return m, nil
}
