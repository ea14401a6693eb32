// Package bodies gives the instances of an emulated EC2 bodies: containers that boot with the instance's own user data, have the
// address that the emulator has given it, live as long as it does, are reached only as its security groups say, and see its volumes as disks.
//
//	w := bodies.Start(t, mototest.Start(t), lxd)
//	...machines in the VPC w.VPC of the cloud with the endpoint w.Endpoint...
//	w.Try("i-0123", "systemctl", "is-active", "ssh")
package bodies

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/lxdtest"
	"github.com/grigri/grigri/internal/mototest"
)

// Region is where the VPC is.
const Region = "us-east-1"

// tick is how soon what has changed in the cloud is seen.
const tick = 200 * time.Millisecond

// A World is one region of the cloud with one VPC, whose instances have bodies.
type World struct {
	VPC      string
	Subnets  []string    // two, in two zones
	Endpoint string      // of the cloud, with TLS, for this host and for the bodies
	CA       string      // by which the endpoint is recognised
	API      *ec2.Client // of the emulator itself: its calls meet no faults and are not counted

	t       testing.TB
	cloud   *mototest.Server
	lxd     *lxdtest.Server
	network string     // the bridge
	gateway netip.Addr // this host's in it
	dir     string     // of the files that volumes are
	volumes map[string]*volume

	mu       sync.Mutex
	bodies   map[string]*body
	userData map[string]string // of every instance that there has been
}

// Start makes the VPC, and gives bodies to all instances in it from now on, until the test ends.
func Start(t *testing.T, cloud *mototest.Server, lxd *lxdtest.Server) *World {
	t.Helper()
	w := &World{t: t, cloud: cloud, lxd: lxd, bodies: map[string]*body{}, userData: map[string]string{}, dir: t.TempDir(), volumes: map[string]*volume{}}
	w.API = ec2.New(ec2.Options{Region: Region, BaseEndpoint: aws.String(cloud.Direct), Credentials: credentials.NewStaticCredentialsProvider("AKIAEMULATED", "emulated", "")})
	prefix := w.bridge()
	w.Endpoint, w.CA = cloud.ListenTLS(t, w.gateway.String())
	w.vpc(prefix)
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return w.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
		w.end()
	})
	return w
}

// bridge makes the network that the VPC is. It goes with the run of LXD.
func (w *World) bridge() netip.Prefix {
	w.t.Helper()
	var err error
	for i := range 256 {
		n := (os.Getpid() + i) % 256
		w.gateway = netip.AddrFrom4([4]byte{10, 214, byte(n), 1})
		if w.network = fmt.Sprintf("gtmoto%d", n); taken(w.gateway) {
			continue
		}
		if _, err = w.lxd.Try("network", "create", w.network, "--project", "default", lxdtest.OwnerKey+"="+w.lxd.Project,
			"ipv4.address="+w.gateway.String()+"/24", "ipv4.nat=true", "ipv6.address=none", "dns.mode=none"); err == nil {
			return netip.PrefixFrom(w.gateway, 24).Masked()
		}
	}
	w.t.Fatalf("make a network: there is none free in 10.214.0.0/16: %v", err)
	return netip.Prefix{}
}

func taken(a netip.Addr) bool {
	have, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(have, func(h net.Addr) bool {
		n, ok := h.(*net.IPNet)
		return ok && n.Contains(a.AsSlice())
	})
}

// vpc makes it, with subnets that are the two halves of the bridge's.
func (w *World) vpc(all netip.Prefix) {
	w.t.Helper()
	ctx := context.Background()
	vpc, err := w.API.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String(all.String())})
	if err != nil {
		w.t.Fatal(err)
	}
	w.VPC = aws.ToString(vpc.Vpc.VpcId)
	half := all.Addr().As4()
	for _, zone := range []string{"a", "b"} {
		s, err := w.API.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: aws.String(w.VPC), CidrBlock: aws.String(netip.PrefixFrom(netip.AddrFrom4(half), 25).String()),
			AvailabilityZone: aws.String(Region + zone)})
		if err != nil {
			w.t.Fatal(err)
		}
		w.Subnets = append(w.Subnets, aws.ToString(s.Subnet.SubnetId))
		half[3] = 128
	}
}

// Run follows the cloud until ctx ends, and returns what has gone wrong.
func (w *World) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for rules := ""; ; {
		all, err := w.Instances(ctx)
		if err == nil {
			for _, in := range all {
				w.follow(&running, in)
			}
			rules, err = w.enforce(ctx, rules, all)
		}
		if err == nil {
			err = w.followVolumes(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the instances of the emulated cloud: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Instances is those of the VPC that the emulator knows, with those that have ended.
func (w *World) Instances(ctx context.Context) ([]types.Instance, error) {
	out, err := w.API.DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	if err != nil {
		return nil, err
	}
	var all []types.Instance
	for _, r := range out.Reservations {
		for _, in := range r.Instances {
			if _, had := w.body(in); had || aws.ToString(in.VpcId) == w.VPC { // one that has ended is in no VPC any more
				all = append(all, in)
			}
		}
	}
	return all, nil
}

// Cloud is a client of the cloud as users have it, with its faults.
func (w *World) Cloud() *ec2.Client {
	return ec2.New(ec2.Options{Region: Region, BaseEndpoint: aws.String(w.cloud.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAEMULATED", "emulated", "")})
}

// UserData is that of every instance that has had a body.
func (w *World) UserData() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]string{}
	for id, text := range w.userData {
		out[id] = text
	}
	return out
}

// Try runs a command in an instance's body, as root, and returns what it prints to stdout.
func (w *World) Try(id string, command ...string) (string, error) {
	return w.lxd.Try(append([]string{"exec", id, "--"}, command...)...)
}

// Living is the instances whose bodies run now, or are being brought to that or from it.
func (w *World) Living() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for id, b := range w.bodies {
		if b.busy || b.is == types.InstanceStateNameRunning {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// end takes away all that there is.
func (w *World) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, b := range w.bodies {
		if b.is == "" || b.is == types.InstanceStateNameTerminated {
			continue
		}
		if _, err := w.lxd.Try("delete", "--force", id); err != nil {
			w.t.Error(err)
		}
	}
	for _, v := range w.volumes {
		if err := v.remove(); err != nil {
			w.t.Error(err)
		}
	}
	table := "table bridge " + w.network + "\n"
	if err := w.nft(table + "delete " + table); err != nil {
		w.t.Error(err)
	}
}

// configuration is a container's, as lxc reads it. It may mount file systems, as an instance may; and use
// loop devices from its first moment on, because what runs in it before one is added would not be let to it later.
func (w *World) configuration(in types.Instance, data string) (string, error) {
	devices := lxdtest.Java()
	devices["eth0"] = map[string]string{"type": "nic", "name": "eth0", "network": w.network, "ipv4.address": aws.ToString(in.PrivateIpAddress)}
	cgroup := "cgroup"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		cgroup = "cgroup2"
	}
	text, err := json.Marshal(map[string]any{"config": map[string]string{"cloud-init.user-data": data, "security.privileged": "true",
		"raw.lxc": "lxc." + cgroup + ".devices.allow = b 7:* rwm"}, "devices": devices}) // which is YAML too
	return string(text), err
}
