package unpack

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/charm"
)

const metadata = "name: web\nsummary: s\ndescription: d\nrequires: {db: mysql}\n"

// A tree is what is in a directory: "mode content" by name. A mode is d755, f644 or l.
type tree map[string]string

// archive makes an archive of the tree and metadata.yaml. A directory that only names imply has no entry.
func (tr tree) archive(t fataler) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, mode fs.FileMode, content string) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(mode)
		w, err := z.CreateHeader(h)
		if err == nil && !mode.IsDir() {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("metadata.yaml", 0o644, metadata)
	for name, what := range tr {
		kind, content, _ := strings.Cut(what, " ")
		var perm fs.FileMode
		fmt.Sscanf(kind[1:], "%o", &perm)
		switch kind[0] {
		case 'd':
			add(name+"/", fs.ModeDir|perm, "")
		case 'f':
			add(name, perm, content)
		case 'l':
			add(name, fs.ModeSymlink|0o777, content)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type fataler interface{ Fatal(...any) }

// onDisk is what is in the directory, without what Unpack always writes.
func onDisk(t fataler, dir string) tree {
	out := tree{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case fs.ModeDir:
			out[name] = fmt.Sprintf("d%o", info.Mode().Perm())
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			out[name] = "l " + target
			return err
		default:
			data, err := os.ReadFile(path)
			out[name] = fmt.Sprintf("f%o %s", info.Mode().Perm(), data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (tr tree) String() string {
	var lines []string
	for name, what := range tr {
		lines = append(lines, name+": "+what)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// with is the tree with what Unpack adds to a charm of the revision.
func (tr tree) with(revision int) tree {
	out := tree{"metadata.yaml": "f644 " + metadata, "revision": fmt.Sprintf("f644 %d", revision),
		".juju-charm": fmt.Sprintf("f644 local:web-%d", revision)}
	for name, what := range tr {
		out[name] = what
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			if out[dir] == "" {
				out[dir] = "d755"
			}
		}
	}
	return out
}

func id(revision int) charm.ID { return charm.ID{Name: "web", Revision: revision} }

func mustUnpack(t fataler, dir string, archive []byte, revision int) {
	if err := Unpack(dir, bytes.NewReader(archive), int64(len(archive)), id(revision)); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, got, want tree) {
	t.Helper()
	if got.String() != want.String() {
		t.Errorf("got\n%s\n\nwant\n%s", got, want)
	}
}

var first = tree{
	"hooks": "d755", "hooks/install": "f644 #!", "hooks/db-relation-changed": "f600 #!", "hooks/leaders.txt": "f644 no hook",
	"hooks/start": "l install", "hooks/sub/install": "f644 deep", "actions/install": "f644 no hook", "dispatch": "f755 #!",
	"lib/gone/x": "f644 x", "lib/kept": "f640 old", "lib/tolink/y": "f644 y", "empty": "d700",
	"file2dir": "f644 f", "dir2file": "d755", "dir2file/a": "f644 a", "link2dir": "l lib", "dir2link/b": "f644 b", "file2link": "f644 f", "link2file": "l lib/kept",
	"locked": "d500", "locked/in": "f400 in", "revision": "f644 99", ".juju-charm": "f644 nonsense",
}

var second = tree{
	"hooks": "d755", "hooks/install": "f755 #!2", "hooks/config-changed": "f444 #!", "lib/kept": "f644 new", "lib/tolink": "l ../hooks",
	"file2dir/c": "f644 c", "dir2file": "f644 now", "link2dir/d": "f644 d", "dir2link": "l lib", "file2link": "l lib", "link2file": "f600 now",
	"locked": "d500", "locked/other": "f400 in", "deeper/and/deeper": "d711",
}

// known is what first and second look like once unpacked: hooks are executable, and a directory's owner may do all.
func known(tr tree, change tree) tree {
	out := tree{}
	for name, what := range tr {
		out[name] = what
	}
	for name, what := range change {
		out[name] = what
	}
	return out
}

var firstOnDisk = known(first, tree{"hooks/install": "f744 #!", "hooks/db-relation-changed": "f700 #!", "locked": "d700",
	"revision": "f644 1", ".juju-charm": "f644 local:web-1"}).with(1).less("revision", ".juju-charm").with(1)

var secondOnDisk = known(second, tree{"hooks/config-changed": "f544 #!", "locked": "d700"}).with(2)

func (tr tree) less(names ...string) tree {
	for _, name := range names {
		delete(tr, name)
	}
	return tr
}

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "unit", "charm")
	mustUnpack(t, dir, first.archive(t), 1)
	same(t, onDisk(t, dir), firstOnDisk)

	// What hooks made survives, unless something of the charm has to be there.
	own := tree{".unit-state.db": "f644 db", "lib/cache": "d755", "lib/cache/z": "f644 z", "lib/gone/mine": "f644 mine"}
	for name, what := range own {
		if what[0] == 'd' {
			os.MkdirAll(filepath.Join(dir, name), 0o755)
		} else {
			os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
			os.WriteFile(filepath.Join(dir, name), []byte(what[5:]), 0o644)
		}
	}
	mustUnpack(t, dir, second.archive(t), 2)
	want := known(secondOnDisk, own)
	want["lib/gone"] = "d755" // it holds what is not the charm's
	same(t, onDisk(t, dir), want)

	// Unpacking the same again changes nothing.
	mustUnpack(t, dir, second.archive(t), 2)
	same(t, onDisk(t, dir), want)

	// What the first charm brought and the second did not is no charm's now: a hook that makes it again keeps it.
	if err := os.WriteFile(filepath.Join(dir, "lib/gone/x"), []byte("again"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustUnpack(t, dir, second.archive(t), 2)
	same(t, onDisk(t, dir), known(want, tree{"lib/gone/x": "f644 again"}))

	// And back: all of the second goes.
	mustUnpack(t, dir, first.archive(t), 1)
	want = known(firstOnDisk, own)
	same(t, onDisk(t, dir), want)
}

// What hooks did to the charm's own files does not lead us astray.
func TestUnpackOverChanges(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "charm")
	mustUnpack(t, dir, tree{"a/x": "f644 x", "b/y": "f644 y", "c": "f644 c", "d/z": "f644 z"}.archive(t), 1)
	outside := filepath.Join(base, "outside")
	os.MkdirAll(outside, 0o755)
	os.MkdirAll(filepath.Join(dir, "data"), 0o755)
	for _, file := range []string{filepath.Join(outside, "x"), filepath.Join(outside, "z"), filepath.Join(dir, "data", "y")} {
		if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"a": outside, "b": "data", "d": "../outside"} {
		os.RemoveAll(filepath.Join(dir, name))
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(dir, "c"))
	os.MkdirAll(filepath.Join(dir, "c", "deep"), 0o755)
	mustUnpack(t, dir, tree{"d/z": "f644 new", "c": "f644 c2"}.archive(t), 2)
	got := onDisk(t, dir)
	want := tree{"d/z": "f644 new", "c": "f644 c2", "data": "d755", "data/y": "f644 mine"}.with(2)
	// The links that replaced the directories a and b have the names of the old charm's directories, which went.
	same(t, got, want)
	for _, name := range []string{"x", "z"} {
		if data, err := os.ReadFile(filepath.Join(outside, name)); err != nil || string(data) != "mine" {
			t.Errorf("outside/%s: %q, %v", name, data, err)
		}
	}
}

func TestUnpackInvalid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "unit", "charm")
	mustUnpack(t, dir, first.archive(t), 1)
	before := onDisk(t, dir)
	for about, archive := range map[string][]byte{
		"no archive":    []byte("x"),
		"escaping name": tree{"../x": "f644 x"}.archive(t),
		"escaping link": tree{"x": "l ../x"}.archive(t),
		"absolute link": tree{"x": "l /etc"}.archive(t),
		"truncated":     first.archive(t)[:200],
	} {
		if err := Unpack(dir, bytes.NewReader(archive), int64(len(archive)), id(2)); !errors.Is(err, charm.ErrInvalid) {
			t.Errorf("%s: %v", about, err)
		}
	}
	same(t, onDisk(t, dir), before)
}

func TestUnpackIgnoresReserved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "charm")
	mustUnpack(t, dir, tree{"revision/a": "f644 x", ".juju-deploying": "f644 x", ".juju-unpacking": "d755"}.archive(t), 3)
	same(t, onDisk(t, dir), tree{}.with(3))
}

func TestUnpackModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "charm")
	mustUnpack(t, dir, tree{"open/to/all": "f666 x", "open": "d777"}.archive(t), 1)
	same(t, onDisk(t, dir), tree{"open": "d777", "open/to/all": "f666 x"}.with(1))
}

var errCrash = errors.New("crash")

// crash unpacks and stops before change number n; it says whether there was one.
func crash(t fataler, dir string, archive []byte, revision, n int) bool {
	err := unpack(dir, bytes.NewReader(archive), int64(len(archive)), id(revision), func(what string) error {
		if n--; n < 0 {
			if strings.HasPrefix(what, "write ") { // and half of the file was written
				os.Remove(filepath.Join(dir, partFile)) // which may be a link that was not moved
				os.WriteFile(filepath.Join(dir, partFile), []byte("hal"), 0o600)
			}
			return errCrash
		}
		return nil
	})
	if err != nil && !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	return err != nil
}

// An unpacking that is interrupted before any of its changes finishes when it is called again, and
// another charm may be unpacked over it as well.
func TestInterrupted(t *testing.T) {
	one, two := first.archive(t), second.archive(t)
	base := memory(t)
	n := 0
	for ; ; n++ {
		dir := filepath.Join(base, fmt.Sprint(n), "charm")
		mustUnpack(t, dir, one, 1)
		if err := os.WriteFile(filepath.Join(dir, ".unit-state.db"), []byte("db"), 0o644); err != nil {
			t.Fatal(err)
		}
		if !crash(t, dir, two, 2, n) {
			break
		}
		marker, err := os.ReadFile(filepath.Join(dir, deployingFile))
		url, _ := os.ReadFile(filepath.Join(dir, urlFile))
		if changed := onDisk(t, dir).less(".unit-state.db", partFile).String() != firstOnDisk.String(); changed && (err != nil || string(marker) != id(2).URL()) {
			t.Fatalf("after %d changes: no marker, %q, %v", n, marker, err)
		} else if !changed && string(url) != id(1).URL() {
			t.Fatalf("after %d changes: says it is %s", n, url)
		}
		last, want := two, secondOnDisk
		revision := 2
		if n%3 == 1 { // crash again a little later
			crash(t, dir, two, 2, n/2)
		}
		if n%2 == 1 { // then back to the first
			last, want, revision = one, firstOnDisk, 1
		}
		mustUnpack(t, dir, last, revision)
		same(t, onDisk(t, dir), known(want, tree{".unit-state.db": "f644 db"}))
		if t.Failed() {
			t.Fatalf("interrupted before change %d", n)
		}
	}
	if n < 40 {
		t.Errorf("only %d changes were interrupted", n)
	}
}

// memory is a directory for many unpackings, where it can be had one whose syncs cost nothing.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "unpack-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Whatever is unpacked over whatever, with crashes between: at last the directory is the last charm.
func TestUnpackProperty(t *testing.T) {
	base := memory(t)
	round := 0
	names := []string{"a", "a/a", "a/b", "a/b/c", "b", "b/a", "hooks", "hooks/install", "c"}
	rapid.Check(t, func(t *rapid.T) {
		round++
		dir := filepath.Join(base, fmt.Sprint(round), "charm")
		var last tree
		for revision := range rapid.IntRange(1, 4).Draw(t, "charms") {
			last = tree{}
			for _, name := range names {
				if parent := last[filepath.Dir(name)]; parent != "" && parent[0] != 'd' {
					continue
				}
				if grand := last[filepath.Dir(filepath.Dir(name))]; grand != "" && grand[0] != 'd' {
					continue
				}
				what := rapid.SampledFrom([]string{"", "", "d755", "d711", "f755 one", "f700 two", "l metadata.yaml", "l gone"}).Draw(t, name)
				if what != "" {
					last[name] = what
				}
			}
			archive := last.archive(t)
			for range rapid.IntRange(0, 2).Draw(t, "crashes") {
				crash(t, dir, archive, revision, rapid.IntRange(0, 60).Draw(t, "at"))
			}
			if rapid.Bool().Draw(t, "finished") {
				mustUnpack(t, dir, archive, revision)
				if got, want := onDisk(t, dir), last.with(revision); got.String() != want.String() {
					t.Fatalf("got\n%s\n\nwant\n%s", got, want)
				}
			}
		}
		mustUnpack(t, dir, last.archive(t), 9)
		if got, want := onDisk(t, dir), last.with(9); got.String() != want.String() {
			t.Fatalf("got\n%s\n\nwant\n%s", got, want)
		}
	})
}

// Packing a directory and unpacking it gives the directory.
func TestIdentity(t *testing.T) {
	base := t.TempDir()
	mustUnpack(t, filepath.Join(base, "one", "charm"), first.archive(t), 4)
	fsys, err := Dir(filepath.Join(base, "one", "charm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := charm.Read(fsys); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, _, err := charm.Archive(&b, fsys); err != nil {
		t.Fatal(err)
	}
	mustUnpack(t, filepath.Join(base, "two", "charm"), b.Bytes(), 4)
	same(t, onDisk(t, filepath.Join(base, "two", "charm")), onDisk(t, filepath.Join(base, "one", "charm")))
}

func TestDir(t *testing.T) {
	base := t.TempDir()
	if _, err := Dir(filepath.Join(base, "nope")); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), `no charm was found at "`) {
		t.Errorf("missing: %v", err)
	}
	file := filepath.Join(base, "file")
	os.WriteFile(file, []byte("name: out\nsummary: s\ndescription: d\n"), 0o644)
	if _, err := Dir(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("file: %v", err)
	}
	dir := filepath.Join(base, "charm")
	os.Mkdir(dir, 0o755)
	os.Symlink("../file", filepath.Join(dir, "metadata.yaml"))
	fsys, err := Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := charm.Read(fsys); err == nil {
		t.Errorf("read what is outside: %+v", c)
	}
	if _, _, err := charm.Archive(&bytes.Buffer{}, fsys); !errors.Is(err, charm.ErrInvalid) {
		t.Errorf("packed what is outside: %v", err)
	}
}
