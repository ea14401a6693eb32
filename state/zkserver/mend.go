package zkserver

import (
	"fmt"
	"os"
	"path/filepath"
)

// logHead is how long the head of a log of transactions is. None comes before it.
const logHead = 16

// mend removes logs of transactions that do not have all of their head, and so no transaction. ZooKeeper leaves one when its disk is full
// as it begins the log, and would not start with it when there is room again.
func (c Config) mend() error {
	logs, err := filepath.Glob(filepath.Join(c.path(dataDir), "version-2", "log.*"))
	if err != nil {
		return err
	}
	for _, name := range logs {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() >= logHead {
			continue
		}
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("remove a log of ZooKeeper's that was hardly begun: %w", err)
		}
	}
	return nil
}
