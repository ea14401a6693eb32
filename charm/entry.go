package charm

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// What an archive may hold.
const (
	MaxArchive  = 100 << 20 // bytes of the archive
	MaxUnpacked = 512 << 20 // bytes of all its files
	MaxEntries  = 100_000   // files, directories and links
)

const (
	maxName  = 4000 // what Linux lets a path have, with room for the directory it is unpacked into
	maxPart  = 250
	maxLinks = 40 // followed in one path, as Linux does
)

// An Entry is one file, directory or symbolic link of a charm's archive.
type Entry struct {
	Name string      // slash-separated, never absolute, never with . or ..
	Mode fs.FileMode // permission bits, with fs.ModeDir or fs.ModeSymlink
	Link string      // what a symbolic link says; it leads to a place inside the charm
	Size int64       // bytes of a file
	file *zip.File
}

// Open opens a file for reading. Its bytes are those that the archive's checksum is for, or the last Read fails.
func (e Entry) Open() (io.ReadCloser, error) {
	f, err := e.file.Open()
	if err != nil {
		return nil, invalid("%s: %w", e.Name, err)
	}
	return f, nil
}

// checkEntries checks that the entries, sorted by name, make a tree that stays within itself.
func checkEntries(entries []Entry) error {
	if len(entries) > MaxEntries {
		return invalid("%d files, expected at most %d", len(entries), MaxEntries)
	}
	modes := map[string]fs.FileMode{}
	links := map[string]string{}
	var total int64
	for _, e := range entries {
		if err := checkName(e.Name); err != nil {
			return err
		}
		if _, twice := modes[e.Name]; twice {
			return invalid("%s: the archive has it twice", e.Name)
		}
		modes[e.Name] = e.Mode
		switch e.Mode.Type() {
		case fs.ModeSymlink:
			links[e.Name] = e.Link
		case 0, fs.ModeDir:
		default:
			return invalid("%s: is %s, expected a file, a directory or a symbolic link", e.Name, kindOf(e.Mode))
		}
		if total += e.Size; e.Size < 0 || e.Size > MaxUnpacked || total > MaxUnpacked {
			return invalid("%s: the files are larger than %d MiB together", e.Name, MaxUnpacked>>20)
		}
	}
	for _, e := range entries {
		for dir := path.Dir(e.Name); dir != "."; dir = path.Dir(dir) {
			if mode, there := modes[dir]; there && !mode.IsDir() {
				return invalid("%s: is below %s, which is %s", e.Name, dir, kindOf(mode))
			}
		}
		if e.Mode.Type() == fs.ModeSymlink {
			if _, err := follow(links, e.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "." || !fs.ValidPath(name) {
		return invalid("%q: not a path inside the charm, expected one without .., . or a leading /", name)
	}
	if len(name) > maxName || slices.ContainsFunc(strings.Split(name, "/"), func(s string) bool { return len(s) > maxPart }) {
		return invalid("%.80q...: the name is too long", name)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("%q: the name has characters that cannot be shown", name)
	}
	return nil
}

// follow returns the name of what a path leads to when every link on the way is followed, which may be a name that no entry
// has. It fails when a link is absolute, leads out of the charm even on a detour, or in a circle.
func follow(links map[string]string, name string) (string, error) {
	var at []string
	rest := strings.Split(name, "/")
	link, target := name, links[name]
	for hops := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch {
		case part == "" || part == ".":
		case part != "..":
			at = append(at, part)
		case len(at) == 0:
			return "", invalid("%s: symlink %q leads out of scope, expected a path inside the charm", link, target)
		default:
			at = at[:len(at)-1]
		}
		here := strings.Join(at, "/")
		to, isLink := links[here]
		if !isLink || part == "" || part == "." || part == ".." {
			continue
		}
		if link, target = here, to; strings.HasPrefix(to, "/") {
			return "", invalid("%s: symlink %q is absolute, expected a path inside the charm", link, target)
		}
		if err := checkTarget(link, target); err != nil {
			return "", err
		}
		if hops++; hops > maxLinks {
			return "", invalid("%s: symlink %q leads in a circle", name, links[name])
		}
		at = at[:len(at)-1]
		rest = append(strings.Split(to, "/"), rest...)
	}
	return strings.Join(at, "/"), nil
}

func checkTarget(link, target string) error {
	if target == "" || len(target) > maxName || strings.ContainsRune(target, 0) {
		return invalid("%s: symlink %.80q cannot be made, expected a path inside the charm", link, target)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode.IsRegular():
		return "a file"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return fmt.Sprintf("something special (%s)", mode.Type())
}
