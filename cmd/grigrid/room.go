package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// needMiB is the room that a controller needs to begin with: ZooKeeper's first log takes a quarter of it, the programs of the first machines an eighth.
const needMiB = 256

// checkRoom refuses a directory on a disk that is all but full: what would fail later, fails in places that are harder to understand.
func checkRoom(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("look how much room there is in %s: %w", dir, err)
	}
	return enough(dir, fs.Bavail*uint64(fs.Bsize)>>20)
}

func enough(dir string, freeMiB uint64) error {
	if freeMiB < needMiB {
		return fmt.Errorf("the disk of %s has %d MiB free, and a controller needs %d: make room there, or choose a directory on another disk (GRIGRI_DATA for a controller on this host)", dir, freeMiB, needMiB)
	}
	return nil
}
