package zkserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// headerSize is what a log of ZooKeeper begins with: magic number, version and database, before any transaction.
const headerSize = 16 // bytes

// clear removes the logs that hold nothing, of which ZooKeeper would not start. A full disk leaves them: their length is set and
// their header written with the first transaction, so that one without a whole header has none that was acknowledged.
func (c Config) clear() error {
	logs, err := filepath.Glob(filepath.Join(c.path(dataDir), "version-2", "log.*"))
	if err != nil {
		return err
	}
	for _, name := range logs {
		empty, err := holdsNothing(name)
		if err == nil && empty {
			c.Log.Warn("removing a log of ZooKeeper that was begun and holds nothing: the disk may have been full", "file", name)
			err = os.Remove(name)
		}
		if err != nil {
			return fmt.Errorf("look for damage in the data of ZooKeeper: %w", err)
		}
	}
	return nil
}

// holdsNothing says whether a log is shorter than its header, or nothing but zeros.
func holdsNothing(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	part := make([]byte, headerSize)
	for {
		n, err := io.ReadFull(f, part)
		zeros := len(bytes.Trim(part[:n], "\x00")) == 0
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return zeros || len(part) == headerSize, nil
		case err != nil || !zeros:
			return false, err
		}
		part = make([]byte, 1<<20)
	}
}
