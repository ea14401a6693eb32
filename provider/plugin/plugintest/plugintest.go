// Package plugintest runs a provider under test as a plugin. The program of the plugin is that of the tests:
//
//	func TestMain(m *testing.M) {
//		plugintest.Main(func(s provider.Spec) (provider.Provider, error) { return mine.Open(s) })
//		os.Exit(m.Run())
//	}
package plugintest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/plugin"
)

// pidFile is, in the environment of a plugin, the file in which it writes its process's id.
const pidFile = "GRIGRI_PLUGINTEST_PID"

// Main serves the provider and ends the process if this process was started as a plugin by Open. Otherwise it does nothing.
func Main(open func(provider.Spec) (provider.Provider, error)) {
	file := os.Getenv(pidFile)
	if file == "" {
		return
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	plugin.Serve(open)
	os.Exit(0)
}

// Open opens the provider in a plugin, and returns how to kill the process that it is in. Who opens it closes it: it is an io.Closer.
func Open(t testing.TB, spec provider.Spec) (p provider.Provider, kill func()) {
	t.Helper()
	hash, err := plugin.Hash(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	spec.Cloud.PluginHash = hash
	p, err = plugin.Open(plugin.Config{File: os.Args[0], Spec: spec, Environment: []string{pidFile + "=" + file}})
	if err != nil {
		t.Fatal(err)
	}
	return p, func() {
		data, err := os.ReadFile(file)
		pid, perr := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil || perr != nil {
			t.Errorf("the plugin's process has the id %q, %v", data, err)
			return
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("kill the plugin: %v", err)
		}
		for end := time.Now().Add(time.Minute); alive(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("process %d does not end", pid)
				return
			}
		}
	}
}

// alive says whether a process is there and is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}
