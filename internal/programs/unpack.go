package programs

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/grigri/grigri/internal/initscript"
)

// Pack is the archive of programs, which are files by name, and its hash.
func Pack(files map[string]string) (archive []byte, hash string, err error) {
	content := map[string][]byte{}
	for name, path := range files {
		if content[name], err = os.ReadFile(path); err != nil {
			return nil, "", err
		}
	}
	if archive, err = initscript.Archive(content); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(archive)
	return archive, hex.EncodeToString(sum[:]), nil
}

// Unpack writes the files of the archive, which are executables in one directory, and reads it to its end.
func Unpack(dir string, r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || h.Name != filepath.Base(h.Name) || strings.HasPrefix(h.Name, ".") {
			return fmt.Errorf("the archive has %q, which is no program", h.Name)
		}
		if err := Copy(filepath.Join(dir, h.Name), t); err != nil {
			return err
		}
	}
	if _, err = io.Copy(io.Discard, z); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// Copy writes a program, so that it is on the disk when its directory gets its name.
func Copy(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
