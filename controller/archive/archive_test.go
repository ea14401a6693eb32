package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func hash(data string) string {
	h := sha256.Sum256([]byte(data))
	return hex.EncodeToString(h[:])
}

func TestWhatIsPutCanBeOpened(t *testing.T) {
	d := Dir(t.TempDir() + "/archives")
	for range 2 { // the same archive may come again
		if err := d.Put(hash("abc"), strings.NewReader("abc"), 3, nil); err != nil {
			t.Fatal(err)
		}
	}
	f, size, err := d.Open(hash("abc"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil || string(data) != "abc" || size != 3 {
		t.Fatalf("opened %q of %d bytes: %v", data, size, err)
	}
}

func TestAProgramCanBeRun(t *testing.T) {
	d := Dir(t.TempDir() + "/programs")
	const text = "#!/bin/sh\necho run"
	if _, err := d.Program(hash(text)); !errors.Is(err, ErrNotFound) {
		t.Fatalf("one that is not there: %v", err)
	}
	if err := d.PutProgram(hash(text), strings.NewReader(text), 3); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("one that is too large: %v", err)
	}
	if err := d.PutProgram(hash(text), strings.NewReader(text), 100); err != nil {
		t.Fatal(err)
	}
	path, err := d.Program(hash(text))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path).Output(); err != nil || string(out) != "run\n" {
		t.Errorf("it says %q, %v", out, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o700 {
		t.Errorf("it is %v, %v", info.Mode(), err)
	}
}

func TestNothingIsLeftOfWhatIsRefused(t *testing.T) {
	bad := errors.New("bad charm")
	for _, c := range []struct {
		name, hash, data string
		check            func(io.ReaderAt, int64) error
		want             error
	}{
		{"another content", hash("abc"), "abd", nil, ErrHash},
		{"too large", hash("abcd"), "abcd", nil, ErrTooLarge},
		{"a path for a hash", "../../etc/passwd", "abc", nil, ErrNotFound},
		{"refused by the check", hash("abc"), "abc", func(io.ReaderAt, int64) error { return bad }, bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			d := Dir(dir)
			if err := d.Put(c.hash, strings.NewReader(c.data), 3, c.check); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Fatalf("%s is left", left[0].Name())
			}
			if _, _, err := d.Open(c.hash); !errors.Is(err, ErrNotFound) {
				t.Fatalf("open gives %v", err)
			}
		})
	}
}

func TestAFullDiskHasItsOwnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := fill(full, hash("abc"), bytes.NewReader([]byte("abc")), 3, nil); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
}

func TestTrim(t *testing.T) {
	dir := t.TempDir()
	d := Dir(dir)
	for _, data := range []string{"old and used", "old", "new"} {
		if err := d.Put(hash(data), strings.NewReader(data), 100, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/.put-123", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{hash("old and used"), hash("old"), ".put-123"} {
		if err := os.Chtimes(dir+"/"+name, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Trim(time.Now().Add(-time.Hour), func(h string) bool { return h == hash("old and used") }); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{hash("old and used"), hash("new")}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left: %v", left)
	}
	if err := Dir(dir+"/nothing").Trim(time.Now(), nil); err != nil {
		t.Error(err)
	}
}
