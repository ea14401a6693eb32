package zkserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/supervise"
)

func TestJudge(t *testing.T) {
	exit := exec.Command("/bin/sh", "-c", "exit 1").Run()
	kill := exec.Command("/bin/sh", "-c", "kill -9 $$").Run()
	for name, c := range map[string]struct {
		end   supervise.End
		final bool
	}{
		"fails once":                   {supervise.End{Err: exit, Failed: 1}, false},
		"fails to start":               {supervise.End{Err: exit, Failed: 3}, true},
		"ends without an error":        {supervise.End{Failed: 3}, true},
		"fails after it has served":    {supervise.End{Err: exit, Failed: 30, Settled: true}, false},
		"is killed again and again":    {supervise.End{Err: kill, Failed: 30}, false},
		"is replaced while it is down": {supervise.End{Err: errors.New("no such file"), Failed: 30}, false},
	} {
		if why, final := (Config{}).judge(c.end); final != c.final || why == nil {
			t.Errorf("a ZooKeeper that %s is given up: %v, want %v: %v", name, final, c.final, why)
		}
	}
}

func TestException(t *testing.T) {
	for tail, want := range map[string]string{
		"": "",
		"java.net.BindException: taken\n\tat java.Base.x(IOException.java)\nCaused by: other\nend": "java.net.BindException: taken",
		"12:00 WARN x - y\njava.lang.NoClassDefFoundError: z\nend":                                 "java.lang.NoClassDefFoundError: z",
		"Error: Could not find or load main class":                                                 "Error: Could not find or load main class",
		"something\nUnrecognized option: -X\n":                                                     "Unrecognized option: -X",
	} {
		if got := exception(tail); got != want {
			t.Errorf("exception(%q) = %q, want %q", tail, got, want)
		}
	}
}

func TestTheHeapFollowsTheMachine(t *testing.T) {
	for mib, want := range map[int]int{0: 256, 512: 256, 2048: 512, 4096: 1024, 1 << 20: 1024} {
		if got := heapOf(mib); got != want {
			t.Errorf("on a machine with %d MiB the heap has %d, want %d", mib, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for s, want := range map[string]string{
		"/var/lib/grigri":        "/var/lib/grigri",
		`/a b\c`:                 `/a b\\c`,
		"/ü\n":                   `/\u00fc\u000a`,
		"CN=controller,O=grigri": "CN=controller,O=grigri",
		"/😀":                     `/\ud83d\ude00`,
	} {
		if got := escape(s); got != want {
			t.Errorf("escape(%q) = %s, want %s", s, got, want)
		}
	}
}

// A release of Apache's has versions in the names of its jars, and all of them in lib.
func TestClassPath(t *testing.T) {
	release, flat := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(release, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Join(release, "lib", "zookeeper-3.9.3.jar"), filepath.Join(release, "lib", "zookeeper-jute-3.9.3.jar")} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, j := range append(jars(), "unrelated") {
		if err := os.WriteFile(filepath.Join(flat, j+".jar"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lib := filepath.Join(release, "lib", "*")
	for dir, want := range map[string]string{release: lib, filepath.Join(release, "lib"): lib} {
		if got, err := (Config{Installation: dir}).classPath(); err != nil || got != want {
			t.Errorf("the class path of %s is %q, %v, want %q", dir, got, err, want)
		}
	}
	got, err := (Config{Installation: flat}).classPath()
	if err != nil || !strings.HasPrefix(got, filepath.Join(flat, "zookeeper.jar")+":") || strings.Contains(got, "unrelated") {
		t.Errorf("the class path of %s is %q, %v", flat, got, err)
	}
	_, err = classPathIn(t.TempDir(), installHint)
	if err == nil || !strings.Contains(err.Error(), "apt-get install default-jre-headless libzookeeper-java") {
		t.Errorf("without Debian's packages: %v", err)
	}
}
