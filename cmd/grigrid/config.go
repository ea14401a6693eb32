package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userfile"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
	"github.com/grigri/grigri/state"
	"github.com/grigri/grigri/state/zk"
	"github.com/grigri/grigri/state/zkserver"
)

// The files in a data directory that are grigrid's own.
const (
	configFile = "grigrid.json"
	lockFile   = "lock"
	readyFile  = "ready.json"
	zkDir      = "zookeeper"
)

// A config is grigrid.json.
type config struct {
	UUID      string    `json:"uuid"`
	ID        string    `json:"id"` // of this controller among all
	Name      string    `json:"name"`
	Cloud     string    `json:"cloud"`
	Type      string    `json:"type,omitempty"` // of the cloud; empty: it is built in
	Region    string    `json:"region,omitempty"`
	Listen    string    `json:"listen"`
	Advertise []string  `json:"advertise"` // host:port at which clients and agents reach it
	ZooKeeper zookeeper `json:"zookeeper"`
}

// A zookeeper says which ZooKeeper to use. Without Servers grigrid runs one of its own.
type zookeeper struct {
	Servers     []string `json:"servers,omitempty"`
	CA          string   `json:"ca,omitempty"`          // PEM: who issued the servers' certificates; empty: the controllers' own authority
	ServerName  string   `json:"serverName,omitempty"`  // the host in the servers' certificates; empty: that in Servers
	Certificate string   `json:"certificate,omitempty"` // PEM: a controller's for the servers; empty: one of the controllers' own authority
	Key         string   `json:"key,omitempty"`         // PEM

	Listen       string `json:"listen,omitempty"` // of our own: 127.0.0.1, any port, if empty
	HeapMiB      int    `json:"heapMiB,omitempty"`
	Installation string `json:"installation,omitempty"` // a directory with ZooKeeper's jars; Debian's if empty
	Java         string `json:"java,omitempty"`
}

func (z zookeeper) own() bool { return len(z.Servers) == 0 }

// spec is what the provider of the controller's own machines is opened with.
func (c config) spec() provider.Spec {
	cloud, ok := all.FindBuiltIn(c.Cloud)
	switch {
	case c.Type != "":
		cloud = provider.Cloud{Name: c.Cloud, Type: c.Type}
	case !ok:
		cloud = provider.Cloud{Name: c.Cloud, Type: c.Cloud}
	}
	return provider.Spec{Cloud: cloud, Region: c.Region}
}

func loadConfig(dir string) (config, error) {
	var c config
	data, err := os.ReadFile(filepath.Join(dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("there is no controller in %s: make one with \"grigrid bootstrap\"", dir)
	}
	if err != nil {
		return c, err
	}
	if err := userfile.JSON(filepath.Join(dir, configFile), data, &c); err != nil {
		return c, fmt.Errorf("read %w", err)
	}
	return c, nil
}

func (c config) save(dir string) error {
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(dir, configFile), append(data, '\n'))
}

// lock takes the data directory for this process alone, until the file is closed or the process ends. Of a process that was killed
// the kernel closes the files a moment after it has no command line and no parent that waits for it any more: that moment is waited for.
func lock(dir string) (*os.File, error) {
	const patience, tick = 10 * time.Second, 10 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(tick) {
		f, err := tryLock(dir)
		if held := heldError(""); !errors.As(err, &held) || time.Now().After(end) {
			return f, err
		}
		if pid, perr := holder(dir); perr != nil || !ending(pid) {
			return nil, err
		}
	}
}

// A heldError says that another process has the data directory.
type heldError string

func (e heldError) Error() string { return string(e) }

// tryLock is lock without any wait.
func tryLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := holder(dir)
		return nil, errors.Join(heldError(fmt.Sprintf("another grigrid, process %d, uses %s", pid, dir)), f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ending says that the process is no more, or that nothing of it will run again.
func ending(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

// holder is the process that has the lock, if one has it.
func holder(dir string) (int, error) {
	data, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(data))
}

// zkServer says how to run a ZooKeeper of our own.
func (c config) zkServer(dir string, s controller.Secrets, log *slog.Logger) (zkserver.Config, error) {
	id, err := s.Authority.Identity(pki.Request{Subject: pki.ZooKeeperName(), Use: pki.Server, Hosts: []string{pki.ZooKeeperHost}, Now: time.Now(), Life: 5 * 365 * 24 * time.Hour})
	z := c.ZooKeeper
	if z.Listen == "" {
		z.Listen = "127.0.0.1:0"
	}
	return zkserver.Config{Dir: filepath.Join(dir, zkDir), Listen: z.Listen, Identity: id, Super: pki.ControllerName().String(),
		HeapMiB: z.HeapMiB, Installation: z.Installation, Java: z.Java, Log: log}, err
}

// zkClient says how to reach ZooKeeper as a controller.
func (c config) zkClient(s controller.Secrets, servers []string, log *slog.Logger) (zk.Config, error) {
	conf, err := c.ZooKeeper.tls(s)
	return zk.Config{
		Servers: servers, TLS: conf, Controller: pki.ControllerName(), Machine: pki.MachineName, Log: log,
		Secret: func(p state.Principal) (string, bool) { return s.Key.Credential(p).Secret, true },
	}, err
}

// tls is a controller's side of a connection to ZooKeeper.
func (z zookeeper) tls(s controller.Secrets) (*tls.Config, error) {
	id, err := s.Identity(time.Now())
	if err != nil {
		return nil, err
	}
	if z.Certificate != "" {
		id.Certificate, id.Key = []byte(z.Certificate), []byte(z.Key)
	}
	leaf, err := id.Leaf()
	if err != nil {
		return nil, fmt.Errorf("the controller's certificate for ZooKeeper: %w", err)
	}
	if !pki.IsController(leaf) { // agents name it in the access to what they make
		return nil, fmt.Errorf("the controller's certificate for ZooKeeper names %s: it must name %s, ZooKeeper's super user", leaf.Subject, pki.ControllerName())
	}
	name := z.ServerName
	if z.CA != "" {
		id.Authority = []byte(z.CA)
	} else if name == "" {
		name = pki.ZooKeeperHost
	}
	conf, err := id.ClientTLS(name)
	if err != nil {
		return nil, fmt.Errorf("reach ZooKeeper: %w", err)
	}
	return conf, nil
}

// pickPort completes a host:port whose port is 0 with a port that is free, and that the kernel gives to no one by itself.
func pickPort(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port != "0" {
		return listen, err
	}
	for range 100 {
		address := net.JoinHostPort(host, strconv.Itoa(17000+rand.IntN(3000)))
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("pick a port for the API: %w", err)
		}
		return address, l.Close()
	}
	return "", fmt.Errorf("pick a port for the API on %s: 100 that were tried are all taken", host)
}
