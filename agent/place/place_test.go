package place_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/agent/place"
	"github.com/grigri/grigri/state"
)

// open is the place of one unit of the machine whose data is in dir.
func open(dir, unit string) place.Place {
	return place.Open(place.Config{Dir: filepath.Join(dir, "storage"), Records: filepath.Join(dir, "agents", unit, "state", "storage"), Root: filepath.Join(dir, "root")})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", path, err)
	}
}

func TestLocation(t *testing.T) {
	own := place.Open(place.Config{Dir: "/var/lib/juju/storage"})
	shared := place.Open(place.Config{Dir: "/m/storage", Root: "/m/storage/.root"})
	for _, c := range []struct {
		p    place.Place
		s    state.Attachment
		want string
	}{
		{own, state.Attachment{ID: "data/3", Kind: state.Filesystem, Type: state.RootFS}, "/var/lib/juju/storage/data/3"},
		{own, state.Attachment{ID: "data/3", Kind: state.Filesystem, Location: "/srv/data"}, "/srv/data"},
		{shared, state.Attachment{ID: "data/3", Kind: state.Filesystem, Location: "/srv/data"}, "/m/storage/.root/srv/data"},
		{shared, state.Attachment{ID: "data/3", Kind: state.Filesystem, Location: "../../etc"}, "/m/storage/.root/etc"},
		{own, state.Attachment{ID: "disk/1", Kind: state.Block, Device: "/dev/disk/by-id/x"}, "/dev/disk/by-id/x"},
		{own, state.Attachment{ID: "disk/1", Kind: state.Block, Type: state.Loop}, "/var/lib/juju/storage/dev/disk-1"},
	} {
		if got := c.p.Location(c.s); got != c.want {
			t.Errorf("%+v is at %s, want %s", c.s, got, c.want)
		}
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	p, ctx := open(dir, "unit-web-0"), t.Context()
	s := state.Attachment{ID: "data/0", Kind: state.Filesystem, Type: state.RootFS, Location: "/srv/data"}
	at := p.Location(s)
	must(t, os.MkdirAll(at, 0o755)) // empty, as packages make them
	must(t, p.Mount(ctx, s))
	must(t, os.WriteFile(filepath.Join(at, "file"), nil, 0o644))
	must(t, p.Mount(ctx, s)) // again: what is in it stays
	if _, err := os.Stat(filepath.Join(at, "file")); err != nil {
		t.Error(err)
	}
	other := open(dir, "unit-web-1")
	if err := other.Mount(ctx, state.Attachment{ID: "data/1", Kind: state.Filesystem, Type: state.RootFS, Location: "/srv/data"}); err == nil || !strings.Contains(err.Error(), "data/0 of another unit") {
		t.Errorf("two in one place: %v", err)
	}
	must(t, p.Unmount(ctx, s.ID, false))
	must(t, p.Unmount(ctx, s.ID, false))
	gone(t, at)

	must(t, os.MkdirAll(at, 0o755))
	must(t, os.WriteFile(filepath.Join(at, "theirs"), nil, 0o644))
	if err := p.Mount(ctx, s); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("in the place of something else: %v", err)
	}
	must(t, p.Clear(ctx))
	if _, err := os.Stat(filepath.Join(at, "theirs")); err != nil {
		t.Errorf("what is not ours has gone: %v", err)
	}
}

func TestLink(t *testing.T) {
	p, ctx := open(t.TempDir(), "unit-web-0"), t.Context()
	volume := t.TempDir()
	must(t, os.WriteFile(filepath.Join(volume, "kept"), nil, 0o644))
	s := state.Attachment{ID: "data/0", Kind: state.Filesystem, Type: "shelf", Persistent: true, Dir: filepath.Join(volume, "nowhere")}
	if err := p.Mount(ctx, s); err == nil {
		t.Error("a volume that is not there has been put in its place")
	}
	s.Dir = volume
	must(t, p.Mount(ctx, s))
	must(t, p.Mount(ctx, s))
	if _, err := os.Stat(filepath.Join(p.Location(s), "kept")); err != nil {
		t.Error(err)
	}
	must(t, p.Clear(ctx))
	gone(t, p.Location(s))
	if _, err := os.Stat(filepath.Join(volume, "kept")); err != nil {
		t.Errorf("what the volume holds has gone: %v", err)
	}
}

func TestSharedHost(t *testing.T) {
	p := place.Open(place.Config{Dir: t.TempDir(), Records: t.TempDir(), Shared: true})
	for _, kind := range []string{state.TmpFS, state.Loop} {
		err := p.Mount(t.Context(), state.Attachment{ID: "data/0", Kind: state.Filesystem, Type: kind})
		if err == nil || !strings.Contains(err.Error(), "machine of its own") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// skip leaves the test out where the host cannot do what it needs. In CI it must.
func skip(t *testing.T, why string, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why, err)
	}
	t.Skip(why, err)
}

// canMount skips the test where nothing can be mounted: for users who are not root, and in containers.
func canMount(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, ""); err != nil {
		skip(t, "nothing can be mounted here: ", err)
	}
	must(t, unix.Unmount(dir, 0))
}

func TestMemory(t *testing.T) {
	canMount(t)
	p, ctx := open(t.TempDir(), "unit-web-0"), t.Context()
	s := state.Attachment{ID: "data/0", Kind: state.Filesystem, Type: state.TmpFS, SizeMiB: 3}
	t.Cleanup(func() { p.Clear(context.Background()) })
	must(t, p.Mount(ctx, s))
	must(t, p.Mount(ctx, s))
	at := p.Location(s)
	var fs unix.Statfs_t
	must(t, unix.Statfs(at, &fs))
	if size := int64(fs.Blocks) * fs.Bsize; size != 3<<20 {
		t.Errorf("it has %d bytes", size)
	}
	f, err := os.Create(filepath.Join(at, "open"))
	must(t, err)
	if err := p.Unmount(ctx, s.ID, false); err == nil {
		t.Error("it was unmounted under a file that is open")
	}
	must(t, p.Unmount(ctx, s.ID, true))
	must(t, f.Close())
	gone(t, at)
}

func TestLoop(t *testing.T) {
	canMount(t)
	if err := exec.Command("losetup", "-f").Run(); err != nil {
		skip(t, "there are no loop devices here: ", err)
	}
	p, ctx := open(t.TempDir(), "unit-web-0"), t.Context()
	t.Cleanup(func() { p.Clear(context.Background()) })
	s := state.Attachment{ID: "data/0", Kind: state.Filesystem, Type: state.Loop, SizeMiB: 8}
	must(t, p.Mount(ctx, s))
	must(t, os.WriteFile(filepath.Join(p.Location(s), "file"), []byte("x"), 0o644))
	must(t, unix.Unmount(p.Location(s), 0)) // as after a start of the machine
	must(t, p.Mount(ctx, s))
	if _, err := os.Stat(filepath.Join(p.Location(s), "file")); err != nil {
		t.Errorf("mounted again: %v", err)
	}
	b := state.Attachment{ID: "disk/1", Kind: state.Block, Type: state.Loop, SizeMiB: 2}
	must(t, p.Mount(ctx, b))
	must(t, p.Mount(ctx, b))
	fi, err := os.Stat(p.Location(b))
	must(t, err)
	if fi.Mode()&os.ModeDevice == 0 {
		t.Errorf("%s is %s", p.Location(b), fi.Mode())
	}
	must(t, p.Clear(ctx))
	gone(t, p.Location(s))
	gone(t, p.Location(b))
	out, err := exec.Command("losetup", "-n", "-O", "BACK-FILE").Output()
	must(t, err)
	if strings.Contains(string(out), filepath.Dir(p.Location(s))) {
		t.Errorf("loop devices are left: %s", out)
	}
}
