package bodies

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A volume is a file of this host, as a block device. What is in it stays as long as the volume.
type volume struct {
	file, loop string
	instance   string // that it is attached to
	boots      int    // of the instance's body, after which its links are there
}

// followVolumes brings each volume to where the emulator says that it is. Disks that instances boot from are their containers' own.
func (w *World) followVolumes(ctx context.Context) error {
	out, err := w.API.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, v := range out.Volumes {
		id, to, device := aws.ToString(v.VolumeId), "", ""
		if len(v.Attachments) > 0 {
			to, device = aws.ToString(v.Attachments[0].InstanceId), aws.ToString(v.Attachments[0].Device)
		}
		if device == rootDevice {
			continue
		}
		there[id] = true
		if err := w.place(id, int64(aws.ToInt32(v.Size))<<30, to, device); err != nil {
			return fmt.Errorf("volume %s: %w", id, err)
		}
	}
	for id, v := range w.volumes {
		if !there[id] {
			if err := errors.Join(w.detach(id, v), v.remove()); err != nil {
				return fmt.Errorf("volume %s: %w", id, err)
			}
			delete(w.volumes, id)
		}
	}
	return nil
}

const rootDevice = "/dev/xvda"

// place attaches the volume to the body of the instance, once that runs, or to none.
func (w *World) place(id string, size int64, to, device string) error {
	v := w.volumes[id]
	if v == nil {
		v = &volume{}
		w.volumes[id] = v
		if err := v.make(filepath.Join(w.dir, id), size); err != nil {
			return err
		}
	}
	if v.instance != "" && v.instance != to {
		if err := w.detach(id, v); err != nil {
			return err
		}
	}
	runs, boots := w.runs(to)
	if !runs {
		return nil
	}
	if v.instance == "" {
		if _, err := w.lxd.Try("config", "device", "add", to, id, "unix-block", "source="+v.loop, "path="+device); err != nil {
			return err
		}
		v.instance, v.boots = to, 0
	}
	if v.boots != boots { // udev does this on an instance
		link := "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + strings.ReplaceAll(id, "-", "")
		if _, err := w.Try(to, "sh", "-c", "mkdir -p ${1%/*} && ln -sf $2 $1", "sh", link, device); err != nil {
			return err
		}
		v.boots = boots
	}
	return nil
}

// runs says whether the instance's body runs and is not on its way elsewhere, and how often it has booted.
func (w *World) runs(instance string) (bool, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.bodies[instance]
	if b == nil || b.busy || b.is != types.InstanceStateNameRunning {
		return false, 0
	}
	return true, b.boots
}

// detach takes the volume from its body, if that is there still.
func (w *World) detach(id string, v *volume) error {
	from := v.instance
	v.instance = ""
	w.mu.Lock()
	b := w.bodies[from]
	gone := b == nil || b.busy || b.is == types.InstanceStateNameTerminated
	w.mu.Unlock()
	if gone {
		return nil
	}
	_, err := w.lxd.Try("config", "device", "remove", from, id)
	return err
}

func (v *volume) make(file string, size int64) error {
	v.file = file
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	out, err := exec.Command("losetup", "-f", "--show", file).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	v.loop = strings.TrimSpace(string(out))
	return nil
}

func (v *volume) remove() error {
	var err error
	if v.loop != "" {
		if err = exec.Command("losetup", "-d", v.loop).Run(); err != nil {
			err = fmt.Errorf("losetup -d %s: %w", v.loop, err)
		}
	}
	return errors.Join(err, os.Remove(v.file))
}
