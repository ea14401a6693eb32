package sshhost

import (
	"cmp"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"
)

// A Target is who is to be reached, and as whom.
type Target struct {
	User string // empty: the name of the user of this process
	Host string
	Port int // zero means 22
}

// ParseTarget reads [user@]host[:port]. An IPv6 address with a port stands in brackets.
func ParseTarget(text string) (Target, error) {
	bad := func(why string) (Target, error) {
		return Target{}, fmt.Errorf("%q is not a host to log in to: %s: expected [user@]host[:port]", text, why)
	}
	var t Target
	host := text
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		t.User, host = text[:i], text[i+1:]
		if t.User == "" {
			return bad("the user is missing")
		}
	}
	if inside, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(host, "]") {
		host = strings.TrimSuffix(inside, "]")
	} else if strings.HasPrefix(host, "[") || strings.Count(host, ":") == 1 {
		name, port, err := net.SplitHostPort(host)
		if err != nil {
			return bad("the port is not readable")
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad("the port must be a number from 1 to 65535")
		}
		host, t.Port = name, int(n)
	}
	if host == "" {
		return bad("the host is missing")
	}
	if strings.ContainsAny(text, " \t\n/\\'\"`$;&|<>()*?") || strings.HasPrefix(host, "-") || strings.HasPrefix(t.User, "-") {
		return bad("it has characters that no host has")
	}
	if strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return bad("it is no IPv6 address")
	}
	t.Host = host
	return t, nil
}

// HostPort is where to connect to.
func (t Target) HostPort() string { return net.JoinHostPort(t.Host, strconv.Itoa(cmp.Or(t.Port, 22))) }

// String is the target as ParseTarget reads it.
func (t Target) String() string {
	text := t.Host
	switch {
	case t.Port != 0 && t.Port != 22:
		text = t.HostPort()
	case strings.Contains(t.Host, ":"):
		text = "[" + t.Host + "]"
	}
	if t.User != "" {
		text = t.User + "@" + text
	}
	return text
}

// Login is the name of the user who logs in.
func (t Target) Login() string {
	if t.User != "" {
		return t.User
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}
