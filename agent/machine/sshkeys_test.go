package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What others have put into authorized_keys stays as it is, whatever of ours comes and goes.
func TestKeysOfTheModelAreBesideOthers(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".ssh/authorized_keys")
	set := func(lines string) {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-c", letIn)
		cmd.Env, cmd.Stdin = []string{"HOME=" + home, "PATH=/usr/bin:/bin"}, strings.NewReader(lines)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	set("")
	if _, err := os.Stat(filepath.Dir(file)); err == nil {
		t.Fatal("without keys something was made")
	}
	set("ssh-ed25519 AAAA one\n")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	set("")
	if _, err := os.Stat(filepath.Dir(file)); err == nil {
		t.Error("what was made is still there")
	}
	const own = "# mine\nssh-rsa BBBB '$(me)' \\n\nssh-ed25519 CCCC without a newline"
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, lines := range []string{"ssh-ed25519 AAAA one\n", "ssh-ed25519 AAAA one\nssh-ed25519 DDDD t'w\"o $x\n", "", ""} {
		set(lines)
		got, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(got), own+"\n") && string(got) != own || lines != "" && !strings.Contains(string(got), "\n"+lines) ||
			lines == "" && strings.Contains(string(got), "AAAA") || strings.Count(string(got), "AAAA") > 1 {
			t.Errorf("with %q the file is %q, %v", lines, got, err)
		}
	}
}
