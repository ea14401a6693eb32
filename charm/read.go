package charm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// The files that say what a charm is.
const (
	metadataFile   = "metadata.yaml"
	configFile     = "config.yaml"
	actionsFile    = "actions.yaml"
	manifestFile   = "manifest.yaml"
	profileFile    = "lxd-profile.yaml"
	versionFile    = "version"
	charmcraftFile = "charmcraft.yaml"
)

// maxFile bounds each of these files.
const maxFile = 4 << 20

// maxVersion bounds the version that status shows, in characters.
const maxVersion = 100

// Read reads the charm at the root of fsys and checks it. In a source tree what metadata.yaml, config.yaml,
// actions.yaml and manifest.yaml do not say is taken from charmcraft.yaml.
// Keys that are not known are ignored: old charms have many. An error about the charm
// names the file, the key and what is allowed, and wraps ErrInvalid.
func Read(fsys fs.FS) (Charm, error) {
	made, err := project(fsys)
	if err != nil {
		return Charm{}, err
	}
	return source{fsys, made}.charm()
}

// A source is where the files of a charm come from: made ones are there in place of those of fsys.
type source struct {
	fsys fs.FS
	made map[string]madeFile
}

func (s source) charm() (Charm, error) {
	var c Charm
	for _, part := range []struct {
		file string
		read func(value)
	}{
		{metadataFile, func(v value) { c.Meta = readMeta(v) }},
		{configFile, func(v value) { c.Options = readOptions(v) }},
		{actionsFile, func(v value) { c.Actions = readActions(v) }},
		{manifestFile, func(v value) { c.Bases = readBases(v) }},
		{profileFile, func(v value) { c.Profile = readProfile(v) }},
	} {
		v, found, err := s.yaml(part.file)
		if err != nil {
			return Charm{}, err
		}
		if !found && part.file == metadataFile {
			return Charm{}, invalid("no %s, and no %s to take its content from", metadataFile, charmcraftFile)
		}
		if v.doc.err == nil && found {
			part.read(v)
		}
		if v.doc.err != nil {
			return Charm{}, v.doc.err
		}
	}
	var err error
	c.Version, err = s.version()
	return c, err
}

// yaml parses one file. The document holds what is wrong with its YAML.
func (s source) yaml(name string) (value, bool, error) {
	if m, ok := s.made[name]; ok {
		v := parse(m.origin, m.prefix, m.data)
		v.doc.made = true
		return v, true, nil
	}
	data, found, err := readFile(s.fsys, name)
	return parse(name, "", data), found, err
}

func (s source) version() (string, error) {
	data, found, err := readFile(s.fsys, versionFile)
	if err != nil || !found {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSpace(strings.TrimPrefix(line, "revision-id: "))
	if !utf8.ValidString(line) {
		return "", invalid("%s: the first line is not UTF-8", versionFile)
	}
	if r := []rune(line); len(r) > maxVersion {
		line = string(r[:maxVersion])
	}
	return line, nil
}

// readFile reads one file of a charm; it is no error that there is none.
func readFile(fsys fs.FS, name string) ([]byte, bool, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the charm's %s: %w", name, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, false, invalid("%s: expected a file, got a directory", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, false, fmt.Errorf("read the charm's %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, false, invalid("%s: larger than %d MiB", name, maxFile>>20)
	}
	return data, true, nil
}
