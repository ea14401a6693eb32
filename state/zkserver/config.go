// Package zkserver runs Apache ZooKeeper as a child process: it writes its configuration, bounds its memory, keeps it
// running and never leaves it behind. Every connection to it is TLS with a client certificate.
package zkserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/ram"
)

// A Config says how to run ZooKeeper. Zero values of the optional fields are good.
// ZooKeeper reads its Identity only when it starts: let that live for pki.AuthorityLife.
type Config struct {
	Dir      string       // its own directory, for data, configuration and log; made if missing
	Listen   string       // host:port of the clients' secure port; port 0 picks a free one and keeps it in Dir
	Identity pki.Identity // for the host pki.ZooKeeperHost; its authority issues the clients' too.
	Super    string       // the distinguished name in the certificates of those who may do everything

	HeapMiB      int           // the bound of the heap; if zero, a quarter of the machine's memory, from 256 to 1024
	Installation string        // optional: a directory with the jars of ZooKeeper; Debian's if empty
	Java         string        // optional: the program java; from PATH if empty
	Started      func(pid int) // optional: called in each life of the process
	Log          *slog.Logger  // optional
}

// The files in Dir.
const (
	configFile    = "zoo.cfg"
	loggingFile   = "logback.xml"
	serverFile    = "server.pem"    // key and certificate
	authorityFile = "authority.pem" // who issues the clients' certificates
	portFile      = "port"
	lockFile      = "lock"
	logFile       = "zookeeper.log"
	dataDir       = "data"
)

func (c Config) path(file string) string { return filepath.Join(c.Dir, file) }

// check completes the config with what zero values stand for.
func (c Config) check() (Config, error) {
	if c.HeapMiB == 0 {
		c.HeapMiB = heapOf(ram.MiB())
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Dir == "":
		return c, errors.New("configure ZooKeeper: Dir is missing")
	case c.Super == "":
		return c, errors.New("configure ZooKeeper: Super is missing")
	case c.HeapMiB < 64:
		return c, fmt.Errorf("configure ZooKeeper: a heap of %d MiB is too small: want 64 or more", c.HeapMiB)
	}
	if _, err := c.Identity.ServerTLS(); err != nil {
		return c, fmt.Errorf("configure ZooKeeper: %w", err)
	}
	if _, _, err := c.listen(); err != nil {
		return c, err
	}
	dir, err := filepath.Abs(c.Dir)
	c.Dir = dir
	return c, err
}

// heapOf is the bound of the heap on a machine with so much memory. It is a bound: as much is taken as is needed. What is needed is said in
// docs/explanation/scale.md.
func heapOf(mib int) int { return min(max(mib/4, 256), 1024) }

func (c Config) listen() (host string, port int, err error) {
	host, p, err := net.SplitHostPort(c.Listen)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("configure ZooKeeper: %q is no address to listen on: want host:port", c.Listen)
	}
	return host, port, nil
}

// tick is the unit of ZooKeeper's clock in milliseconds. It checks for expired sessions once a tick.
const tick = 500

// properties is the configuration file.
func (c Config) properties(host string, port int) string {
	if host == "" {
		host = "0.0.0.0"
	}
	var b strings.Builder
	for _, p := range [][2]string{
		{"dataDir", c.path(dataDir)},
		{"secureClientPortAddress", host},
		{"secureClientPort", strconv.Itoa(port)},
		{"serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory"}, // the only one with TLS
		{"maxClientCnxns", "0"},                                                     // many agents may come from one address
		{"maxCnxns", "0"},
		{"globalOutstandingLimit", "1000"},

		{"ssl.keyStore.location", c.path(serverFile)},
		{"ssl.keyStore.type", "PEM"},
		{"ssl.trustStore.location", c.path(authorityFile)},
		{"ssl.trustStore.type", "PEM"},
		{"ssl.clientAuth", "need"},
		{"ssl.protocol", "TLSv1.3"}, // the newest of enabledProtocols
		{"ssl.enabledProtocols", "TLSv1.3,TLSv1.2"},
		{"ssl.ciphersuites", strings.Join(ciphers(), ",")},
		{"authProvider.x509", "org.apache.zookeeper.server.auth.X509AuthenticationProvider"},
		{"X509AuthenticationProvider.superUser", c.Super},

		{"tickTime", strconv.Itoa(tick)},
		{"minSessionTimeout", strconv.Itoa(2 * tick)},
		{"maxSessionTimeout", "60000"},
		{"forceSync", "yes"},
		{"autopurge.purgeInterval", "1"}, // hours
		{"autopurge.snapRetainCount", "3"},
		{"admin.enableServer", "false"},
		{"4lw.commands.whitelist", "srvr,mntr"}, // for Ready, and for whoever measures
	} {
		fmt.Fprintf(&b, "%s=%s\n", p[0], escape(p[1]))
	}
	return b.String()
}

// ciphers are those for TLS 1.3 and 1.2 with keys of ECDSA that every Java since 11 knows.
func ciphers() []string {
	return []string{
		"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	}
}

// escape writes a value of a Java properties file, which is in Latin 1.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r < ' ' || r > '~':
			for _, u := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, u)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// logging is the configuration of logback, which Apache's own installation logs with.
const logging = `<configuration>
  <appender name="STDERR" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.err</target>
    <encoder><pattern>%d %-5level %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="STDERR"/></root>
</configuration>
`
