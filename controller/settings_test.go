package controller

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/logs"
	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/memory"
)

// TestSettingsAreHeeded: what is set while the controller runs holds for the next lines of a log.
func TestSettingsAreHeeded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	store := memory.New().Connect(memory.Controller)
	var tx state.Txn
	tx.Create(state.ControllersPath, nil)
	if _, err := store.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &daemon{Config: Config{Dir: dir, Store: store}, logs: logs.Open(logs.Config{Dir: dir})}
	defer d.logs.Close()
	done := make(chan error)
	go func() { done <- d.heed(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	line := []agentapi.LogLine{{Entity: "machine-0", Message: strings.Repeat("x", 8<<10)}}
	write := func() (size int64) {
		t.Helper()
		if err := d.logs.Append("m", line); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(dir + "/m/*.log")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		return size
	}
	for write() < 3<<20 {
		if ctx.Err() != nil {
			t.Fatal("the log does not grow")
		}
	}
	tx = state.Txn{}
	tx.Create(state.ControllerConfigPath, state.ControllerConfig{state.ModelLogsSize: "1M"})
	if _, err := store.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	for write() > 1<<20 {
		if ctx.Err() != nil {
			t.Fatal("the lower bound is not heeded")
		}
	}
}
