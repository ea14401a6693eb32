package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state/zkserver"
)

// A zooKeeper is a server as grigrid runs it, that we run ourselves.
type zooKeeper struct {
	addr       string
	controller *tls.Config
	pid        int
	stop       func() error // returns when the server is gone; it may be called again
}

// startZooKeeper returns when the server answers. Its files are in dir.
func startZooKeeper(ctx context.Context, dir string) (*zooKeeper, error) {
	authority, err := pki.NewAuthority("bench", time.Now())
	if err != nil {
		return nil, err
	}
	server, err := authority.Identity(pki.Request{Subject: pki.ZooKeeperName(), Use: pki.Server, Hosts: []string{pki.ZooKeeperHost}, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	client, err := authority.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Client, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	z := &zooKeeper{}
	if z.controller, err = client.ClientTLS(pki.ZooKeeperHost); err != nil {
		return nil, err
	}
	conf := zkserver.Config{Dir: dir, Listen: "127.0.0.1:0", Identity: server, Super: pki.ControllerName().String(),
		Started: func(pid int) { z.pid = pid }}
	if z.addr, err = zkserver.Prepare(conf); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return zkserver.Run(ctx, conf) })
	z.stop = func() error {
		cancel()
		return g.Wait()
	}
	if err := zkserver.Ready(ctx, z.addr, z.controller); err != nil {
		return nil, errors.Join(err, z.stop())
	}
	return z, nil
}

// connect gives the plain client that yardsticks are measured with: the library, and nothing of ours.
func (z *zooKeeper) connect(ctx context.Context) (*zk.Conn, error) {
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, z.controller)
	}
	conn, events, err := zk.Connect([]string{z.addr}, 10*time.Second, zk.WithDialer(dial), zk.WithLogger(silence{}))
	if err != nil {
		return nil, err
	}
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return conn, nil
			}
		case <-ctx.Done():
			conn.Close()
			return nil, fmt.Errorf("connect to ZooKeeper at %s: %w", z.addr, ctx.Err())
		}
	}
}

// silence is the library's log.
type silence struct{}

func (silence) Printf(string, ...any) {}
