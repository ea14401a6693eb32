package zkserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state/zkserver"
	"github.com/grigri/grigri/state/zkserver/zktest"
)

// config is good, for a directory that does not exist yet.
func config(t *testing.T) zkserver.Config {
	t.Helper()
	a, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Identity(pki.Request{Subject: pki.ZooKeeperName(), Use: pki.Both, Hosts: []string{pki.ZooKeeperHost}, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return zkserver.Config{Dir: filepath.Join(t.TempDir(), "zookeeper"), Listen: "127.0.0.1:0", Identity: id, Super: pki.ControllerName().String()}
}

func TestPrepareRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(*zkserver.Config)
		want   string
	}{
		"no directory":       {func(c *zkserver.Config) { c.Dir = "" }, "Dir is missing"},
		"no super user":      {func(c *zkserver.Config) { c.Super = "" }, "Super is missing"},
		"no port":            {func(c *zkserver.Config) { c.Listen = "127.0.0.1" }, `"127.0.0.1" is no address`},
		"a bad port":         {func(c *zkserver.Config) { c.Listen = "127.0.0.1:99999" }, "want host:port"},
		"a foreign address":  {func(c *zkserver.Config) { c.Listen = "192.0.2.1:0" }, "cannot assign requested address"},
		"a tiny heap":        {func(c *zkserver.Config) { c.HeapMiB = 10 }, "64 or more"},
		"no identity":        {func(c *zkserver.Config) { c.Identity = pki.Identity{} }, "use an identity"},
		"no Java":            {func(c *zkserver.Config) { c.Java = "/nonexistent/java" }, "the setting says /nonexistent/java"},
		"no ZooKeeper":       {func(c *zkserver.Config) { c.Installation = "/nonexistent" }, "/nonexistent/zookeeper.jar is missing"},
		"a file in its way":  {func(c *zkserver.Config) { c.Dir = "/etc/passwd" }, "not a directory"},
		"a damaged port":     {func(c *zkserver.Config) { write(t, c.Dir, "port", "http") }, `holds "http"`},
		"a file in data dir": {func(c *zkserver.Config) { write(t, c.Dir, "data", "") }, "not a directory"},
	} {
		conf := config(t)
		c.break_(&conf)
		if _, err := zkserver.Prepare(conf); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ...%s...", name, err, c.want)
		}
		if err := zkserver.Run(t.Context(), conf); err == nil {
			t.Errorf("%s: Run ends without an error", name)
		}
	}
}

func TestPrepareAgain(t *testing.T) {
	conf := config(t)
	first, err := zkserver.Prepare(conf)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := zkserver.Prepare(conf); err != nil || second != first {
		t.Errorf("the address was %s and is %s, %v", first, second, err)
	}
	for _, file := range []string{"server.pem", "authority.pem", "zoo.cfg"} {
		if info, err := os.Stat(filepath.Join(conf.Dir, file)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", file, info.Mode(), err)
		}
	}
	conf.Listen = ":12345"
	if addr, err := zkserver.Prepare(conf); err != nil || addr != "127.0.0.1:12345" {
		t.Errorf("clients of %s connect to %s, %v", conf.Listen, addr, err)
	}
}

func TestRunSaysWhyNot(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(t *testing.T, c *zkserver.Config)
		want   string
	}{
		"a port that is taken": {func(t *testing.T, c *zkserver.Config) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			c.Listen = l.Addr().String()
		}, "another program listens on its port, that of 127.0.0.1:"},
		"a file in place of the data": {func(t *testing.T, c *zkserver.Config) {
			write(t, filepath.Join(c.Dir, "data"), "version-2", "")
		}, "it cannot use its data: "},
		"a damaged log": {func(t *testing.T, c *zkserver.Config) {
			write(t, filepath.Join(c.Dir, "data/version-2"), "log.1", strings.Repeat("not a log ", 100))
		}, "it cannot use its data: "},
	} {
		t.Run(name, func(t *testing.T) {
			conf := config(t)
			c.break_(t, &conf)
			log, seen := logged(t, c.want)
			conf.Log = log
			if err := zkserver.Run(seen, conf); err != nil {
				t.Errorf("given up at once: %v", err)
			}
		})
	}
}

func TestRunGivesUp(t *testing.T) {
	conf := config(t)
	conf.Java = "/bin/false"
	if err := zkserver.Run(t.Context(), conf); err == nil || !strings.Contains(err.Error(), "it said nothing") {
		t.Errorf("a ZooKeeper that never starts: %v", err)
	}
}

// A disk that gets full is said to be, and when it has room again ZooKeeper goes on with all that it ever acknowledged, wherever
// the room ended.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); errors.Is(err, syscall.EPERM) && os.Getenv("CI") == "" {
		t.Skip("only root can make a small disk")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	conf := config(t)
	conf.Dir = filepath.Join(disk, "zookeeper")
	addr, err := zkserver.Prepare(conf)
	if err != nil {
		t.Fatal(err)
	}
	client, err := conf.Identity.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	var nodes []string // that were acknowledged
	for _, room := range []int64{0, 12 << 10, 100 << 10} {
		var seen context.Context
		conf.Log, seen = logged(t, "the disk of "+conf.Dir+" is full")
		ctx, stop := context.WithCancel(t.Context())
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return zkserver.Run(ctx, conf) })
		conn := connect(t, addr, client)
		if err := fill(filler, room); err != nil {
			t.Fatal(err)
		}
		for seen.Err() == nil {
			if node, err := conn.Create("/node-", make([]byte, 10000), zk.FlagSequence, zk.WorldACL(zk.PermAll)); err == nil {
				nodes = append(nodes, node)
			}
		}
		if room == 0 {
			if _, err := zkserver.Prepare(conf); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("on a full disk Prepare ends with %v", err)
			}
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error { _, _, err := conn.Exists("/"); return err })
		for _, node := range nodes {
			if ok, _, err := conn.Exists(node); err != nil || !ok {
				t.Errorf("%s was acknowledged and is not there: %v", node, err)
			}
		}
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}
	if len(nodes) == 0 {
		t.Error("nothing was acknowledged")
	}
}

// A log without a whole header is what a full disk leaves of one that was just begun.
func TestALogThatWasJustBegun(t *testing.T) {
	s := zktest.Start(t)
	conn := connect(t, s.Addr, s.Controller())
	if _, err := conn.Create("/kept", nil, 0, zk.AuthACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"log.7ffffff0": "", "log.7ffffff1": "ZKLG\x00\x00", "log.7ffffff2": strings.Repeat("\x00", 100_000)} {
		write(t, filepath.Join(s.Dir, "data/version-2"), name, text)
	}
	s.Kill(t)
	eventually(t, func() error { _, _, err := conn.Get("/kept"); return err })
}

// fill writes a file until there is room for so many bytes only.
func fill(path string, room int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return f.Truncate(at - room)
}

func TestHeapIsBounded(t *testing.T) {
	conf := config(t)
	conf.HeapMiB = 64
	addr, err := zkserver.Prepare(conf)
	if err != nil {
		t.Fatal(err)
	}
	client, err := conf.Identity.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		t.Fatal(err)
	}
	var seen context.Context
	conf.Log, seen = logged(t, "its heap of 64 MiB is too small")
	g, ctx := errgroup.WithContext(seen)
	g.Go(func() error { return zkserver.Run(ctx, conf) })
	conn := connect(t, addr, client)
	for ctx.Err() == nil {
		_, _ = conn.Create("/node-", make([]byte, 900000), zk.FlagSequence, zk.WorldACL(zk.PermAll))
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestLocksItsDirectory(t *testing.T) {
	conf := config(t)
	conf.Dir = filepath.Join(conf.Dir, `Zoo Wärter
`)
	addr, err := zkserver.Prepare(conf)
	if err != nil {
		t.Fatal(err)
	}
	client, err := conf.Identity.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return zkserver.Run(ctx, conf) })
	if err := zkserver.Ready(ctx, addr, client); err != nil {
		t.Error(err)
	}
	if err := zkserver.Run(t.Context(), conf); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second ZooKeeper in the same directory: %v", err)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// logged is a log, and a context that ends when want is logged. The test fails if it is not within two minutes.
func logged(t *testing.T, want string) (*slog.Logger, context.Context) {
	t.Helper()
	seen, found := context.WithCancel(t.Context())
	late, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	stop := context.AfterFunc(late, func() {
		t.Errorf("%q was not logged", want)
		found()
	})
	t.Cleanup(func() { stop() })
	return slog.New(slog.NewJSONHandler(lines(func(line string) {
		if strings.Contains(line, want) {
			stop()
			found()
		}
	}), nil)), seen
}

// lines is called with each line that is written to it.
type lines func(line string)

func (l lines) Write(p []byte) (int, error) {
	l(string(p))
	return len(p), nil
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(fmt.Errorf("prepare the test: %w", err))
	}
}
