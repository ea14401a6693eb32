package charm_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/charm"
)

// pack archives the tree and reads the archive.
func pack(t *testing.T, fsys fs.FS) charm.Charm {
	t.Helper()
	var b bytes.Buffer
	if _, _, err := charm.Archive(&b, fsys); err != nil {
		t.Fatal(err)
	}
	c, err := charm.ReadArchive(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// list is the entries of an archive as "mode name" lines.
func list(t *testing.T, data []byte) []string {
	t.Helper()
	entries, err := charm.Entries(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		line := e.Mode.String() + " " + e.Name
		if e.Link != "" {
			line += " -> " + e.Link
		}
		out = append(out, line)
	}
	return out
}

func TestArchive(t *testing.T) {
	fsys := tree(map[string]string{
		"metadata.yaml": head, "hooks/hooks.py": "#!", "lib/.hidden": "h", "lib/x.pyc": "c", "lib/__pycache__/x": "c", "lib/.git/config": "",
		".git/config": "g", ".secret": "s", "build/out": "o", "lib/build/in": "i", "revision": "7", "old.charm": "z", "lib/revision": "r",
	})
	fsys["hooks/hooks.py"].Mode = 0o750
	fsys["hooks/install"] = &fstest.MapFile{Data: []byte("hooks.py"), Mode: fs.ModeSymlink | 0o777}
	fsys["hooks/lib"] = &fstest.MapFile{Data: []byte("../lib"), Mode: fs.ModeSymlink | 0o777}
	fsys["hooks/nothing"] = &fstest.MapFile{Data: []byte("../gone/away"), Mode: fs.ModeSymlink | 0o777}
	fsys["empty/dir"] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
	var one, two bytes.Buffer
	sha, size, err := charm.Archive(&one, fsys)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(one.Bytes()); sha != hex.EncodeToString(sum[:]) || size != int64(one.Len()) {
		t.Errorf("got %s, %d", sha, size)
	}
	want := []string{
		"dr-xr-xr-x empty", "drwx------ empty/dir", "dr-xr-xr-x hooks", "-rwxr-x--- hooks/hooks.py", "Lrwxrwxrwx hooks/install -> hooks.py",
		"Lrwxrwxrwx hooks/lib -> ../lib", "Lrwxrwxrwx hooks/nothing -> ../gone/away", "dr-xr-xr-x lib", "-rw-r--r-- lib/.hidden",
		"dr-xr-xr-x lib/build", "-rw-r--r-- lib/build/in", "-rw-r--r-- lib/revision", "-rw-r--r-- metadata.yaml",
	}
	if got := list(t, one.Bytes()); !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if _, _, err := charm.Archive(&two, fsys); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("the same tree gives other bytes: %v", err)
	}
}

// The same tree gives the same bytes: neither the files' times nor today's play a part.
func TestArchiveDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fsys := fstest.MapFS{"metadata.yaml": {Data: []byte(head), Mode: 0o644}}
		names := rapid.SliceOfDistinct(rapid.StringMatching(`[a-c]{1,2}(/[a-cü .-]{1,2}x){0,2}`), rapid.ID[string]).Draw(t, "names")
		for _, name := range names {
			fsys[name+"_f"] = &fstest.MapFile{Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"), Mode: fs.FileMode(rapid.Uint32Range(1, 0o777).Draw(t, "mode"))}
		}
		var one, two bytes.Buffer
		sha1, _, err := charm.Archive(&one, fsys)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fsys {
			f.ModTime = f.ModTime.AddDate(1, 0, 0)
		}
		sha2, _, err := charm.Archive(&two, fsys)
		if err != nil || sha1 != sha2 || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Fatalf("got %s and %s, %v", sha1, sha2, err)
		}
		z, err := zip.NewReader(bytes.NewReader(one.Bytes()), int64(one.Len()))
		if err != nil || !z.File[0].Modified.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Fatalf("got %v, %v", z.File[0].Modified, err)
		}
		entries, err := charm.Entries(bytes.NewReader(one.Bytes()), int64(one.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if f, ok := fsys[e.Name]; ok && (e.Mode != f.Mode || e.Size != int64(len(f.Data))) {
				t.Fatalf("%s: %s with %d bytes became %s with %d", e.Name, f.Mode, len(f.Data), e.Mode, e.Size)
			}
		}
	})
}

func TestArchiveCharmcraft(t *testing.T) {
	craft := head + "config: &c {options: {a: {type: string, default: 'yes'}}}\nother: *c\nactions: {go: {params: {n: {default: 1e3}}}}\n" +
		"base: ubuntu@24.04\nplatforms: {amd64: }\n"
	fsys := tree(map[string]string{"charmcraft.yaml": craft})
	c, err := charm.Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if got := pack(t, fsys); !reflect.DeepEqual(got, c) {
		t.Errorf("packed %+v\nsource %+v", got, c)
	}
	var b bytes.Buffer
	charm.Archive(&b, fsys)
	want := "actions.yaml charmcraft.yaml config.yaml manifest.yaml metadata.yaml"
	var names []string
	for _, line := range list(t, b.Bytes()) {
		names = append(names, strings.Fields(line)[1])
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestArchiveRefuses(t *testing.T) {
	for about, test := range map[string]struct {
		name string
		mode fs.FileMode
		data string
		want string
	}{
		"absolute link":   {"hooks/install", fs.ModeSymlink, "/bin/true", `hooks/install: symlink "/bin/true" is absolute`},
		"escaping link":   {"hooks/install", fs.ModeSymlink, "../../x", `hooks/install: symlink "../../x" leads out of scope`},
		"link to outside": {"x", fs.ModeSymlink, "..", `x: symlink ".." leads out of scope`},
		"circle":          {"x", fs.ModeSymlink, "x", "leads in a circle"},
		"pipe":            {"x", fs.ModeNamedPipe, "", "x: is a pipe, expected a file, a directory or a symbolic link"},
		"control":         {"x\ny", 0, "", "characters that cannot be shown"},
		"large":           {"x", 0, "", ""},
	} {
		fsys := tree(map[string]string{"metadata.yaml": head})
		fsys[test.name] = &fstest.MapFile{Data: []byte(test.data), Mode: test.mode | 0o644}
		_, _, err := charm.Archive(&bytes.Buffer{}, fsys)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", about, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, charm.ErrInvalid) {
			t.Errorf("%s: got %v", about, err)
		}
	}
}

// A raw is an entry of an archive as an attacker may write it.
type raw struct {
	name string
	mode fs.FileMode
	data string
}

func archiveOf(t testing.TB, entries ...raw) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil && e.data != "" {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadArchiveRefuses(t *testing.T) {
	meta := raw{"metadata.yaml", 0o644, head}
	link := func(name, to string) raw { return raw{name, fs.ModeSymlink | 0o777, to} }
	for about, test := range map[string]struct {
		data []byte
		want string
	}{
		"no zip":                  {[]byte("#!/bin/sh"), "the archive cannot be read"},
		"no metadata":             {archiveOf(t, raw{"a", 0o644, ""}), "no metadata.yaml"},
		"charmcraft.yaml only":    {archiveOf(t, raw{"charmcraft.yaml", 0o644, head}), "no metadata.yaml"},
		"metadata is a directory": {archiveOf(t, raw{"metadata.yaml/", fs.ModeDir | 0o755, ""}), "metadata.yaml: expected a file, got a directory"},
		"parent":                  {archiveOf(t, meta, raw{"../x", 0o644, ""}), `"../x": not a path inside the charm`},
		"inner parent":            {archiveOf(t, meta, raw{"a/../../x", 0o644, ""}), "not a path inside the charm"},
		"absolute":                {archiveOf(t, meta, raw{"/etc/passwd", 0o644, ""}), "not a path inside the charm"},
		"dot":                     {archiveOf(t, meta, raw{"./x", 0o644, ""}), "not a path inside the charm"},
		"empty name":              {archiveOf(t, meta, raw{"", 0o644, ""}), "not a path inside the charm"},
		"NUL":                     {archiveOf(t, meta, raw{"a\x00b", 0o644, ""}), "characters that cannot be shown"},
		"long part":               {archiveOf(t, meta, raw{strings.Repeat("a", 251), 0o644, ""}), "the name is too long"},
		"long name":               {archiveOf(t, meta, raw{strings.Repeat("a/", 2001) + "a", 0o644, ""}), "the name is too long"},
		"twice":                   {archiveOf(t, meta, meta), "metadata.yaml: the archive has it twice"},
		"file and directory":      {archiveOf(t, meta, raw{"a", 0o644, ""}, raw{"a/", fs.ModeDir | 0o755, ""}), "a: the archive has it twice"},
		"below a file":            {archiveOf(t, meta, raw{"a", 0o644, ""}, raw{"a/b", 0o644, ""}), "a/b: is below a, which is a file"},
		"below a link":            {archiveOf(t, meta, link("a", "b"), raw{"a/c/d", 0o644, ""}), "a/c/d: is below a, which is a symbolic link"},
		"absolute link":           {archiveOf(t, meta, link("a", "/etc")), `a: symlink "/etc" is absolute`},
		"escaping link":           {archiveOf(t, meta, link("d/a", "../../etc")), `d/a: symlink "../../etc" leads out of scope`},
		"link by way of a link":   {archiveOf(t, meta, link("d/up", ".."), link("z", "d/up/../x")), "leads out of scope"},
		"empty link":              {archiveOf(t, meta, link("a", "")), "cannot be made"},
		"circle of two":           {archiveOf(t, meta, link("a", "b"), link("b", "a")), "leads in a circle"},
		"device":                  {archiveOf(t, meta, raw{"a", fs.ModeDevice | 0o644, ""}), "a: is a device"},
		"pipe":                    {archiveOf(t, meta, raw{"a", fs.ModeNamedPipe | 0o644, ""}), "a: is a pipe"},
		"damaged":                 {damaged(t, meta), "metadata.yaml: the archive cannot be read"},
		"size of a bomb":          {bombs(t, meta), "larger than 512 MiB together"},
	} {
		_, err := charm.ReadArchive(bytes.NewReader(test.data), int64(len(test.data)))
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, charm.ErrInvalid) {
			t.Errorf("%s:\ngot  %v\nwant %s", about, err, test.want)
		}
	}
	if _, err := charm.ReadArchive(strings.NewReader(""), charm.MaxArchive+1); err == nil || !strings.Contains(err.Error(), "larger than 100 MiB") {
		t.Errorf("oversize: %v", err)
	}
}

// damaged is an archive in which a bit of a stored file is wrong.
func damaged(t *testing.T, e raw) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Store})
	w.Write([]byte(e.data))
	z.Close()
	return bytes.Replace(b.Bytes(), []byte("name: web"), []byte("name: wob"), 1)
}

// bombs is an archive whose directory promises more than fits.
func bombs(t *testing.T, meta raw) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"a", "b", "c"} {
		w, _ := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, UncompressedSize64: 200 << 20})
		w.Write(nil)
	}
	w, _ := z.Create(meta.name)
	w.Write([]byte(meta.data))
	z.Close()
	return b.Bytes()
}

func TestReadArchiveOdd(t *testing.T) {
	data := archiveOf(t, raw{"meta/data.yaml", 0, head}, raw{"metadata.yaml", fs.ModeSymlink | 0o777, "here/data.yaml"},
		raw{"here", fs.ModeSymlink | 0o777, "./meta"}, raw{"bare/", fs.ModeDir, ""}, raw{"set", fs.ModeSetuid | 0o755, ""})
	c, err := charm.ReadArchive(bytes.NewReader(data), int64(len(data)))
	if err != nil || c.Meta.Name != "web" {
		t.Errorf("got %v, %v", c, err)
	}
	want := []string{"drwxr-xr-x bare", "Lrwxrwxrwx here -> ./meta", "-rw-r--r-- meta/data.yaml", "Lrwxrwxrwx metadata.yaml -> here/data.yaml",
		"-rwxr-xr-x set"}
	if got := list(t, data); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func FuzzReadArchive(f *testing.F) {
	f.Add(archiveOf(f, raw{"metadata.yaml", 0o644, head}))
	f.Add(archiveOf(f, raw{"metadata.yaml", fs.ModeSymlink, "a/../b"}, raw{"b", 0o644, head}, raw{"a/", fs.ModeDir | 0o755, ""}))
	f.Add(archiveOf(f, raw{"../x", 0o644, ""}, raw{"x", fs.ModeDevice, ""}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := charm.ReadArchive(bytes.NewReader(data), int64(len(data)))
		if err != nil && !errors.Is(err, charm.ErrInvalid) {
			t.Errorf("not the charm's fault? %v", err)
		}
		entries, err := charm.Entries(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, e := range entries {
			if !fs.ValidPath(e.Name) || e.Name == "." || strings.HasPrefix(e.Link, "/") || e.Mode&^(fs.ModeDir|fs.ModeSymlink|fs.ModePerm) != 0 {
				t.Errorf("dangerous: %+v", e)
			}
		}
	})
}
