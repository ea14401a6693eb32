package place

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/grigri/grigri/state"
)

// memory is storage that lies in memory.
func (p Place) memory(ctx context.Context, s state.Attachment, at string) error {
	if there, err := mounted(at); err != nil || there {
		return err
	}
	if err := p.mountPoint(record{ID: s.ID, At: at}, at); err != nil {
		return err
	}
	return command(ctx, "mount", "-t", "tmpfs", "-o", options(s, fmt.Sprintf("size=%dM,mode=0755", s.SizeMiB)), "grigri-"+s.ID.Node(), at)
}

// device is a file system on a block device, which gets one if it has none.
func (p Place) device(ctx context.Context, s state.Attachment, device, at string) error {
	if there, err := mounted(at); err != nil || there {
		return err
	}
	if err := exists(device); err != nil {
		return err
	}
	r := record{ID: s.ID, At: at}
	if have, err := p.noted(s.ID); err != nil {
		return err
	} else if have != nil {
		r = *have
	}
	if err := p.mountPoint(r, at); err != nil {
		return err
	}
	if err := format(ctx, device); err != nil {
		return err
	}
	return command(ctx, "mount", "-o", options(s, "noatime"), device, at)
}

func options(s state.Attachment, text string) string {
	if s.ReadOnly {
		return text + ",ro"
	}
	return text
}

// format makes a file system on a device in which nothing can be found. Only when it is sure that nothing is there.
func format(ctx context.Context, device string) error {
	out, err := exec.CommandContext(ctx, "blkid", "-p", "-o", "export", device).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && bytes.Contains(out, []byte("TYPE=")):
		return nil
	case err == nil:
		return fmt.Errorf("device %s holds something that is no file system: %s", device, bytes.TrimSpace(out))
	case errors.As(err, &exit) && exit.ExitCode() == 2: // nothing found
		return command(ctx, "mkfs.ext4", "-q", device)
	}
	return fmt.Errorf("look for a file system on %s: %w: %s", device, err, bytes.TrimSpace(out))
}

// mountPoint makes the directory to mount on, and notes that.
func (p Place) mountPoint(r record, at string) error {
	r.Mount = at
	if _, err := os.Lstat(at); errors.Is(err, os.ErrNotExist) {
		r.Made = at
	} else if err := empty(at); err != nil {
		return err
	}
	if err := p.note(r); err != nil {
		return err
	}
	return os.MkdirAll(at, 0o755)
}

// loop is a file of the machine's disk as a block device, and a file system on it if the charm wants one.
func (p Place) loop(ctx context.Context, s state.Attachment, at string) error {
	if _, err := os.Stat(loopControl); errors.Is(err, os.ErrNotExist) {
		return errors.New("this machine has no loop devices, as containers have none: use another pool, or a virtual machine")
	}
	image := filepath.Join(p.Dir, "images", s.ID.Node())
	r := record{ID: s.ID, At: at, Image: image}
	have, err := p.noted(s.ID)
	if err != nil {
		return err
	}
	if have == nil {
		if err := p.note(r); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(image), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(image, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() == 0 {
		err = f.Truncate(int64(s.SizeMiB) << 20)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	device, err := loopOf(ctx, image)
	if err == nil && device == "" {
		if err = command(ctx, "losetup", "-f", image); err == nil {
			device, err = loopOf(ctx, image)
		}
	}
	switch {
	case err != nil:
		return err
	case device == "":
		return fmt.Errorf("%s has no loop device", image)
	case s.Kind == state.Filesystem:
		return p.device(ctx, s, device, at)
	}
	if to, err := os.Readlink(at); err == nil && to == device {
		return nil
	}
	r.Link = at
	if err := p.note(r); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(device, at)
}

// loopControl is where the kernel is asked for loop devices.
const loopControl = "/dev/loop-control"

// loopOf is the loop device of the image, or empty.
func loopOf(ctx context.Context, image string) (string, error) {
	out, err := exec.CommandContext(ctx, "losetup", "-n", "-O", "NAME", "-j", image).Output()
	if err != nil {
		return "", fmt.Errorf("list loop devices: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(first), nil
}

func (p Place) endLoop(ctx context.Context, r *record) error {
	if _, err := os.Stat(r.Image); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	device, err := loopOf(ctx, r.Image)
	if err == nil && device != "" {
		err = command(ctx, "losetup", "-d", device)
	}
	if err != nil {
		return err
	}
	return os.Remove(r.Image)
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// unmount unmounts what is mounted at the place, if anything is.
func unmount(at string, force bool) error {
	for {
		there, err := mounted(at)
		if err != nil || !there {
			return err
		}
		err = unix.Unmount(at, 0)
		if errors.Is(err, unix.EBUSY) && force {
			err = unix.Unmount(at, unix.MNT_DETACH)
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
	}
}

// mounted says whether something is mounted at the place.
func mounted(at string) (bool, error) {
	points, err := mountPoints()
	if err != nil {
		return false, err
	}
	for _, p := range points {
		if p == at {
			return true, nil
		}
	}
	return false, nil
}

// mountsBelow is a place in the directory, or it itself, where something is mounted; or empty.
func mountsBelow(dir string) (string, error) {
	points, err := mountPoints()
	if err != nil {
		return "", err
	}
	for _, p := range points {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return p, nil
		}
	}
	return "", nil
}

func mountPoints() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list what is mounted: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 {
			out = append(out, unescape.Replace(f[4]))
		}
	}
	return out, nil
}
