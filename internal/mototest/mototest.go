// Package mototest runs moto, an independent emulator of EC2, for tests. Before moto stands a proxy that gives it what it lacks of EC2's
// contract, idempotency by client tokens, and that lets tests inject what goes wrong in a cloud.
package mototest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grigri/grigri/internal/pyenv"
)

//go:embed launch.py
var launch string

//go:embed requirements.txt
var requirements []byte

// The owners of the images that there are, as in the real cloud.
const (
	Debian = "136693071363"
	Ubuntu = "099720109477"
)

// An Image is one that there is in every region.
type Image struct {
	ID, Name, Owner, Arch string
	Created               time.Time
}

// Images is what a lookup has to choose from: old and new, two architectures, and some that only look right.
func Images() []Image {
	day := func(n int) time.Time { return time.Date(2026, 10, n, 12, 0, 0, 0, time.UTC) }
	return []Image{
		{"ami-debian12old", "debian-12-amd64-20261001-2200", Debian, "x86_64", day(1)},
		{"ami-debian12new", "debian-12-amd64-20261019-2271", Debian, "x86_64", day(19)},
		{"ami-debian12arm", "debian-12-arm64-20261019-2271", Debian, "arm64", day(19)},
		{"ami-debian12backports", "debian-12-backports-amd64-20261020-2272", Debian, "x86_64", day(20)},
		{"ami-debian13", "debian-13-amd64-20261019-2271", Debian, "x86_64", day(19)},
		{"ami-false", "debian-12-amd64-20261030-9999", "666666666666", "x86_64", day(30)},
		{"ami-jammy", "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261010", Ubuntu, "x86_64", day(10)},
		{"ami-noble", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261011", Ubuntu, "x86_64", day(11)},
		{"ami-noblepro", "ubuntu-pro-server/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-pro-server-20261012", Ubuntu, "x86_64", day(12)},
	}
}

// A Server is a running moto behind its proxy.
type Server struct {
	URL    string // of the proxy
	Direct string // of moto itself: what is asked there meets no faults, and is not counted

	proxy http.Handler

	mu      sync.Mutex
	faults  []*Fault
	calls   map[string]int
	tokens  map[string]*remembered
	reboots map[string]int
}

// Start starts a server, which ends with the test. Without moto the test is skipped, or fails where CI is set.
func Start(t *testing.T) *Server {
	t.Helper()
	backend, err := run(t, pyenv.Need(t, "mototest", "python3", requirements).Python)
	if err != nil {
		t.Fatalf("start moto: %v", err)
	}
	s := &Server{Direct: backend.String(), calls: map[string]int{}, tokens: map[string]*remembered{}, reboots: map[string]int{}}
	s.proxy = s.handler(backend, httputil.NewSingleHostReverseProxy(backend))
	proxy := httptest.NewServer(s.proxy)
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	s.URL = proxy.URL
	return s
}

var listening = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// run runs moto until the test ends, and returns where it listens.
func run(t *testing.T, python string) (*url.URL, error) {
	images := filepath.Join(t.TempDir(), "images.json")
	var list []map[string]any
	for _, i := range Images() {
		list = append(list, map[string]any{"ami_id": i.ID, "name": i.Name, "owner_id": i.Owner, "architecture": i.Arch,
			"creation_date": i.Created.Format("2006-01-02T15:04:05.000Z"), "state": "available", "public": true, "virtualization_type": "hvm",
			"root_device_type": "ebs", "root_device_name": "/dev/xvda", "hypervisor": "xen", "image_type": "machine"})
	}
	data, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(images, data, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(python, "-c", launch, "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "MOTO_AMIS_PATH="+images, "MOTO_ENABLE_AMI_VALIDATION=true", "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION=true",
		"PYTHONUNBUFFERED=1", "AWS_ACCESS_KEY_ID=emulated", "AWS_SECRET_ACCESS_KEY=emulated")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	found := make(chan string, 1)
	var last []string
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
			if last = append(last, lines.Text()); len(last) > 20 {
				last = last[1:]
			}
		}
	}()
	select {
	case where, ok := <-found:
		if !ok {
			return nil, fmt.Errorf("it ended: %s", strings.Join(last, "\n"))
		}
		return url.Parse(where)
	case <-time.After(2 * time.Minute):
		return nil, errors.New("it does not say where it listens")
	}
}
