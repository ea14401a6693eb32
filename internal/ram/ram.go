// Package ram says how much memory there is.
package ram

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryLimits is where a container sees the limit of its own, in either version of control groups.
var memoryLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// MiB is how much memory this machine has: a container that is held to less than its host has, that; 0 if nobody knows.
func MiB() int {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	var limits []string
	for _, file := range memoryLimits {
		if text, err := os.ReadFile(file); err == nil {
			limits = append(limits, string(text))
		}
	}
	return least(uint64(info.Totalram)*uint64(info.Unit), limits)
}

// least is the total, or a limit that is lower, in MiB. What is no number, such as max, is no limit.
func least(total uint64, limits []string) int {
	for _, text := range limits {
		if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil && n > 0 {
			total = min(total, n)
		}
	}
	return int(total >> 20)
}
