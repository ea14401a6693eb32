package lxd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/grigri/grigri/provider"
)

// A virtual machine is asked for as LXD 5.0 documents it (POST /1.0/instances, and the options of instances), and LXD itself reads it so:
// it has no quarrel with the request, but for that it has no KVM. To be asked at all it is made to say that it has.
func TestTheRequestForAVirtualMachine(t *testing.T) {
	s := server.Server(t)
	var sent map[string]any
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "unix.socket" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.Socket)
		}},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path != "/1.0" {
				return nil
			}
			data, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			data = bytes.Replace(data, []byte(`"driver":"lxc"`), []byte(`"driver":"lxc | qemu"`), 1)
			r.Body = io.NopCloser(bytes.NewReader(data))
			r.ContentLength = int64(len(data))
			r.Header.Set("Content-Length", strconv.Itoa(len(data)))
			return nil
		},
	}
	socket := t.TempDir() + "/unix.socket"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/1.0/instances" {
			data, err := io.ReadAll(r.Body)
			if err == nil {
				err = json.Unmarshal(data, &sent)
			}
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(data))
		}
		proxy.ServeHTTP(w, r)
	})}
	go web.Serve(listener)
	t.Cleanup(func() { web.Close() })

	image := s.Project + "-vm" // images are shared with all projects
	dir := t.TempDir()
	meta := fmt.Sprintf("architecture: x86_64\ncreation_date: 1\nproperties: {description: %s}\n", image)
	disk := append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 504)...) // what lxc knows a disk by
	if err := errors.Join(os.WriteFile(dir+"/metadata.yaml", []byte(meta), 0o600), os.WriteFile(dir+"/disk.qcow2", disk, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-C", dir, "-cf", dir+"/meta.tar", "metadata.yaml").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.LXC(t, "image", "import", dir+"/meta.tar", dir+"/disk.qcow2", "--alias", image, "--project", "default")
	t.Cleanup(func() {
		if _, err := s.Try("image", "delete", image, "--project", "default"); err != nil {
			t.Error(err)
		}
	})
	sp := spec(s)
	sp.Cloud.Config["image"] = image
	req := request("0", "exit 0\n")
	vm, arch, cores, memory, size := "virtual-machine", "amd64", 2, 2048, 10240
	req.Controller, req.Model = controller, model
	req.Constraints = provider.Constraints{VirtType: &vm, Arch: &arch, Cores: &cores, MemoryMiB: &memory, RootDiskMiB: &size}
	if _, err := open(t, sp).Start(t.Context(), req); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "virtual machines need KVM") {
		t.Errorf("without KVM: %v", err)
	}
	sp.Cloud.Endpoint = socket
	p := open(t, sp)
	_, err = p.Start(t.Context(), req)
	t.Log(err)
	if err == nil || !strings.Contains(err.Error(), "nstance type") {
		t.Errorf("LXD without KVM says %v", err)
	}
	vm, sp.Cloud.Endpoint = "", s.Socket // a container, which that image is not for
	if _, err := open(t, sp).Start(t.Context(), req); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "is for machines of the kind virtual-machine, and this one is a container") {
		t.Errorf("a container of a virtual machine's image: %v", err)
	}
	sp.Cloud.Config["image-server"] = "https://127.0.0.1:1"
	if _, err := open(t, sp).Start(t.Context(), req); err == nil || !strings.Contains(err.Error(), "https://127.0.0.1:1") {
		t.Errorf("when there is an image server: %v", err)
	}
	if err := p.Forget(t.Context(), controller); err != nil {
		t.Error(err)
	}
	name, devices, config := sent["name"], sent["devices"].(map[string]any), sent["config"].(map[string]any)
	if name == "" || sent["type"] != "virtual-machine" || sent["architecture"] != "x86_64" {
		t.Errorf("sent is %v", sent)
	}
	for key, want := range map[string]string{"limits.cpu": "2", "limits.memory": "2048MiB", "boot.autostart": "true", "cloud-init.user-data": "#!/bin/sh\nexit 0\n"} {
		if config[key] != want {
			t.Errorf("%s is %q", key, config[key])
		}
	}
	if _, ok := config["security.nesting"]; ok { // of containers alone
		t.Error("security.nesting is sent")
	}
	if root := devices["root"].(map[string]any); root["type"] != "disk" || root["path"] != "/" || root["size"] != "10240MiB" || root["pool"] == "" {
		t.Errorf("its disk is %v", root)
	}
	if nic := devices["eth0"].(map[string]any); nic["type"] != "nic" || nic["network"] == "" {
		t.Errorf("its network interface is %v", nic)
	}
}
