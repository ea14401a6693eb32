package lxd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

const (
	roomNeeded = 2 << 30 // bytes: an image, and a small machine made of it
	mostSkew   = time.Minute
	idsNeeded  = 65536 // those of one container
)

// Check implements provider.Checker.
func (p *Provider) Check(ctx context.Context) ([]provider.Problem, error) {
	return p.check(ctx, func(c *checks) []check {
		return []check{c.settings, c.clock, c.profiles, c.room, c.network, c.images, c.ids}
	})
}

type check = func(context.Context) error

func (p *Provider) check(ctx context.Context, which func(*checks) []check) ([]provider.Problem, error) {
	s, err := p.server(ctx)
	if err != nil {
		if problem, ok := p.unreached(err); ok {
			return []provider.Problem{problem}, nil
		}
		return nil, fmt.Errorf("check LXD at %s: %w", p.endpoint(), err)
	}
	c := &checks{p: p, s: s}
	for _, check := range which(c) {
		if err := check(ctx); err != nil {
			return nil, fmt.Errorf("check LXD at %s: %w", p.endpoint(), err)
		}
	}
	return c.found, nil
}

// unreached says what to do when LXD cannot be spoken to.
func (p *Provider) unreached(err error) (provider.Problem, bool) {
	remedy := ""
	switch {
	case errors.Is(err, client.ErrOtherServer):
		remedy = "make sure that it is the right server, and add its certificate to the credential (attribute " + attrServer + "): on its host, lxc info shows it"
	case errors.Is(err, os.ErrPermission):
		remedy = "be a member of the group that may open it: sudo usermod -aG lxd $USER, then log in again"
	case errors.Is(err, os.ErrNotExist):
		remedy = "install LXD and initialise it: sudo apt install lxd && sudo lxd init --auto"
	case unknown(err) && local(p.endpoint()):
		remedy = "start LXD: sudo systemctl start lxd"
	case unknown(err):
		remedy = "see that LXD runs there and listens: lxc config set core.https_address :8443; and that nothing between here and there keeps it from answering"
	case !errors.Is(err, provider.ErrTransient):
		remedy = "have LXD trust the credential: on its host, lxc config trust add"
	default:
		return provider.Problem{}, false
	}
	return provider.Problem{What: err.Error(), Remedy: remedy}, true
}

type checks struct {
	p     *Provider
	s     *client.InstanceServer
	found []provider.Problem
}

func (c *checks) problem(remedy, what string, args ...any) {
	c.found = append(c.found, provider.Problem{What: fmt.Sprintf(what, args...), Remedy: remedy})
}

func (c *checks) settings(ctx context.Context) error {
	for _, key := range c.p.settings.unknown {
		c.problem("remove it, or write one of "+strings.Join(keys(), ", "), "the cloud's config %s means nothing to LXD", key)
	}
	if err := c.s.GetProject(ctx, c.p.project()); client.IsNotFound(err) {
		c.problem("lxc project create "+c.p.project(), "LXD has no project %s", c.p.project())
	} else if err != nil {
		return err
	}
	return nil
}

func (c *checks) clock(ctx context.Context) error {
	about, _, err := c.s.GetServer(ctx)
	if err != nil {
		return err
	}
	c.skew(time.Since(about.Date))
	return nil
}

func (c *checks) skew(d time.Duration) {
	if d = d.Round(time.Second); d.Abs() > mostSkew {
		c.problem("set both by a time server, such as with systemd-timesyncd", "the clock of LXD's host is %v away from ours: certificates would not be valid", d.Abs())
	}
}

func (c *checks) profiles(ctx context.Context) error {
	for _, name := range c.p.settings.profiles {
		if _, _, err := c.s.GetProfile(ctx, name); client.IsNotFound(err) {
			c.problem("lxc profile create "+name, "LXD has no profile %s", name)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (c *checks) room(ctx context.Context) error {
	pool, err := c.p.pool(ctx, c.s, c.p.settings.pool)
	if errors.Is(err, provider.ErrRefused) {
		c.problem("lxc storage create default dir, or set the cloud's config "+keyPool, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	r, err := c.s.GetStoragePoolResources(ctx, pool)
	if client.IsNotFound(err) || says(err, "not found") {
		c.problem("lxc storage create "+pool+" dir, or set the cloud's config "+keyPool, "LXD has no storage pool %s", pool)
		return nil
	}
	if err != nil {
		return err
	}
	c.free(pool, r.Space.Total, r.Space.Used)
	return nil
}

// free looks at the bytes of a pool; no total is one that is not known.
func (c *checks) free(pool string, total, used uint64) {
	if free := total - min(used, total); total > 0 && free < roomNeeded {
		c.problem("make room there, or set the cloud's config "+keyPool, "storage pool %s of LXD has %d MiB left, and a machine needs %d MiB", pool, free>>20, roomNeeded>>20)
	}
}

func (c *checks) network(ctx context.Context) error {
	if name := c.p.settings.network; name != "" {
		if _, _, err := c.s.GetNetwork(ctx, name); client.IsNotFound(err) {
			c.problem("lxc network create "+name+", or leave the cloud's config "+keyNetwork+" out", "LXD has no network %s", name)
		} else if err != nil {
			return err
		}
		return nil
	}
	about, err := c.p.describe(ctx)
	if err != nil {
		return err
	}
	if apart, err := c.p.scattered(ctx, c.s); err != nil {
		return err
	} else if apart {
		c.problem("set the cloud's config "+keyNetwork+" to a network that spans the cluster, such as one of the type ovn or macvlan", scatteredNote)
	}
	if !about.HasExtension("network_acl") {
		c.problem("take LXD 5.0 or newer, or set the cloud's config "+keyNetwork, "LXD %s cannot keep ports closed: it has no network ACLs", about.Environment.ServerVersion)
	}
	if _, err := c.p.subnet(ctx, c.s, "check"); err != nil {
		c.problem("set the cloud's config "+keySubnet, "%v", err)
	}
	return nil
}

// images looks for an image of Debian 12.
func (c *checks) images(ctx context.Context) error { return c.image(ctx, "debian@12") }

// image looks for an image, from here: LXD itself fetches it, and may reach others than we do.
func (c *checks) image(ctx context.Context, base string) error {
	source, err := c.p.image(ctx, c.s, wish{base: base, arch: archNames[runtime.GOARCH]})
	if errors.Is(err, provider.ErrRefused) {
		c.problem("lxc image import FILE --alias grigri/"+base+", or set the cloud's config "+keyImageServer, "%v", err)
		return nil
	}
	if err != nil || source.Server == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	index, err := url.JoinPath(source.Server, "streams/v1/index.json")
	if err != nil || source.Protocol != "simplestreams" {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, index, nil)
	if err != nil {
		return err
	}
	asking := http.DefaultClient
	if source.Certificate != "" {
		known := x509.NewCertPool()
		known.AppendCertsFromPEM([]byte(source.Certificate))
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: known}, Proxy: http.ProxyFromEnvironment}
		defer transport.CloseIdleConnections()
		asking = &http.Client{Transport: transport}
	}
	resp, err := asking.Do(req)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		err = errors.New(resp.Status)
	}
	c.problem("let this host reach it, or import an image: lxc image import FILE --alias grigri/"+base+"; or set the cloud's config "+keyImageServer,
		"LXD's store has no image of %s, and the image server %s is not to be had: %v", base, source.Server, err)
	return nil
}

// ids looks whether LXD can give containers users of their own. Of another host it is not known.
func (c *checks) ids(context.Context) error {
	if !local(c.p.endpoint()) {
		return nil
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // LXD takes a range of its own then
		}
		if err != nil {
			return err
		}
		if !grants(string(data)) {
			c.problem("echo root:1000000:1000000000 | sudo tee -a /etc/subuid /etc/subgid, and restart LXD", "%s gives root no %d ids for containers", file, idsNeeded)
		}
	}
	return nil
}

// grants says whether root has enough ids; a file without a word about root or lxd leaves it to LXD.
func grants(text string) bool {
	said := false
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || !slices.Contains([]string{"root", "lxd", "_lxd", "0"}, f[0]) {
			continue
		}
		said = true
		if n, err := strconv.Atoi(f[2]); err == nil && n >= idsNeeded {
			return true
		}
	}
	return !said
}
