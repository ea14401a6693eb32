package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Nothing of an environment on this host is outside its own directory: it runs here in a layer over all of this host's files, and
// whatever is written anywhere else is seen in that layer.
func TestNothingIsOutsideTheDataDirectory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root can put a layer over this host's files")
		}
		t.Skip("only root can put a layer over this host's files")
	}
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp("", "ggd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	layers := t.TempDir()
	charm, err := filepath.Abs("testdata/tenant")
	if err != nil {
		t.Fatal(err)
	}
	const layered = `set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$layers"
mkdir "$layers/changes" "$layers/work" "$layers/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/changes,workdir=$layers/work" "$layers/root"
mount -t proc proc "$layers/root/proc"
mount --rbind /dev "$layers/root/dev"
mount --rbind /sys "$layers/root/sys"
for d in "$bin" "$data" "$charm"; do # also where they are on file systems of their own
	mkdir -p "$layers/root$d"
	mount --bind "$d" "$layers/root$d"
done
chroot "$layers/root" sh -euc "$inside" || { tail -n 30 "$data"/controllers/*/grigrid.log >&2 || true; exit 1; }
cd "$layers/changes" && find . -mindepth 1 ! -type d`
	const inside = `cd /
until_() { n=0; until "$@" >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 600 ] || { grigri status --relations; exit 1; }; sleep 0.2; done; }
noted() { grigri exec --unit tenant/0 -- cat ../record | grep -q "$1"; }
grigri bootstrap local layered
grigri add-model m
grigri deploy "$charm" --storage data=rootfs,8M
until_ noted '^start$'
grigri config tenant reboot=now
until_ noted 'start again: now'
until_ noted '^config-changed$'
grigri add-unit tenant
until_ grigri exec --unit tenant/1 -- test -d ../charm
grigri exec --unit tenant/1 -- 'juju-log hello; state-set a=b'
grigri remove-application tenant --no-prompt --destroy-storage
grigri kill-controller layered --no-prompt
touch /etc/grigri-test-sees-this /tmp/grigri-test-sees-this`
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", layered)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GRIGRI_DATA="+data, "bin="+bin, "data="+data, "layers="+layers, "charm="+charm, "inside="+inside)
	cmd.WaitDelay = time.Second
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &said)
	}
	var changed []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "./") {
			changed = append(changed, line)
		}
	}
	slices.Sort(changed)
	if want := []string{"./etc/grigri-test-sees-this", "./tmp/grigri-test-sees-this"}; !slices.Equal(changed, want) {
		t.Errorf("outside of its directory these have changed:\n%s\nwant only what the test itself has made:\n%s", strings.Join(changed, "\n"), strings.Join(want, "\n"))
	}
}
