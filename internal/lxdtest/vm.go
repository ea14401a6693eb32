package lxdtest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// VMProfile is a profile that a VMMember has: with it a virtual machine starts that nobody has signed.
const VMProfile = "unsigned"

//go:embed nokvm
var nokvmScript []byte

//go:embed vmimage
var vmimageScript []byte

// VMMember starts an LXD that starts virtual machines on any host: their processor is emulated. They have no vsock, so LXD's agent in
// them hears nothing; it does what it does by itself: at the first boot it takes the files that LXD has for the machine, for cloud-init too,
// and starts the machine again. It has what a Member that serves has, and the image of Debian for virtual machines, by the alias vmImage.
func VMMember(tb testing.TB) (m *Member, vmImage string) {
	tb.Helper()
	need(tb)
	for _, name := range []string{"qemu-system-x86_64", "qemu-img", "mcopy", "mkfs.vfat", "sfdisk", "objcopy"} {
		if _, err := exec.LookPath(name); err != nil {
			tb.Fatalf("the program %s is not there: run internal/demo/deps vm", name)
		}
	}
	file, alias, err := vmImageFile()
	if err != nil {
		tb.Fatal(err)
	}
	programs := tb.TempDir()
	for _, name := range []string{"lxd", "modprobe", "qemu-system-x86_64"} {
		if err := os.WriteFile(filepath.Join(programs, name), nokvmScript, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	m = Members(tb, []string{"PATH=" + programs + ":" + os.Getenv("PATH"), "LXD_EXEC_PATH=" + filepath.Join(programs, "lxd")}, "vmhost")[0]
	m.Serve(tb)
	m.LXC(tb, "profile", "create", VMProfile)
	m.LXC(tb, "profile", "set", VMProfile, "security.secureboot=false")
	m.LXC(tb, "image", "import", file, "--alias", alias)
	return m, alias
}

// vmImageFile has the image for virtual machines made out of that for containers, if it has not been yet.
func vmImageFile() (file, alias string, err error) {
	base, _, err := imageFile("image", imageScript)
	if err != nil {
		return "", "", err
	}
	return imageFile("vmimage", vmimageScript, base)
}

// LinkHost links this host with the member's network, where its machines reach it at the address that is returned.
func (m *Member) LinkHost(tb testing.TB) string {
	tb.Helper()
	const address = "10.214.0.254"
	device := fmt.Sprintf("gl%d", m.pid) // it ends with the member's network
	for _, args := range [][]string{
		{"link", "add", device, "type", "veth", "peer", "name", "tohost", "netns", fmt.Sprint(m.pid)},
		{"addr", "add", address + "/24", "dev", device},
		{"link", "set", device, "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			tb.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	if out, err := m.within("ip", "link", "set", "tohost", "master", "link0", "up").CombinedOutput(); err != nil {
		tb.Fatalf("link this host: %v: %s", err, out)
	}
	return address
}
