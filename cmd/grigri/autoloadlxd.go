package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/grigri/grigri/internal/userfile"
	"github.com/grigri/grigri/provider"
)

// lxcCredentials is the certificate of LXD's own client lxc, by cloud: for each of the clouds whose endpoint is one of its remotes.
// The cloud of the socket on this host asks for none.
func lxcCredentials(clouds map[string]provider.Cloud) (map[string]provider.Credential, error) {
	home, _ := os.UserHomeDir() // without one there is nothing in it
	for _, dir := range []string{os.Getenv("LXD_CONF"), filepath.Join(home, ".config", "lxc"), filepath.Join(home, "snap", "lxd", "common", "config")} {
		cert, err := os.ReadFile(filepath.Join(dir, "client.crt"))
		if dir == "" || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for the certificate of lxc: %w", err)
		}
		key, err := os.ReadFile(filepath.Join(dir, "client.key"))
		if err != nil {
			return nil, fmt.Errorf("look for the key of lxc's certificate: %w", err)
		}
		remotes, err := lxcRemotes(dir)
		if err != nil {
			return nil, err
		}
		out := map[string]provider.Credential{}
		for name, cloud := range clouds {
			remote, ok := remotes[strings.TrimSuffix(cloud.Endpoint, "/")]
			if !ok || cloud.Type != "lxd" {
				continue
			}
			server, err := os.ReadFile(filepath.Join(dir, "servercerts", remote+".crt"))
			if err != nil {
				return nil, fmt.Errorf("look for the certificate of lxc's remote %q: %w: add it again with \"lxc remote add\"", remote, err)
			}
			out[name] = provider.Credential{Name: cmp.Or(remote, name), AuthType: "certificate",
				Attributes: map[string]string{"client-cert": string(cert), "client-key": string(key), "server-cert": string(server)}}
		}
		return out, nil
	}
	return nil, nil
}

// lxcRemotes is the names of lxc's remotes by their addresses, without a slash at the end.
func lxcRemotes(dir string) (map[string]string, error) {
	path := filepath.Join(dir, "config.yml")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var config struct {
		Remotes map[string]struct {
			Addr     string `yaml:"addr"`
			Protocol string `yaml:"protocol"`
		} `yaml:"remotes"`
	}
	if err == nil {
		err = userfile.YAML(path, data, &config)
	}
	if err != nil {
		return nil, fmt.Errorf("read the remotes of lxc: %w", err)
	}
	out := map[string]string{}
	for name, r := range config.Remotes {
		if strings.HasPrefix(r.Addr, "https://") && (r.Protocol == "" || r.Protocol == "lxd") {
			out[strings.TrimSuffix(r.Addr, "/")] = name
		}
	}
	return out, nil
}
