package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grigri/grigri/provider"
)

func TestCredentialsOfLXC(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LXD_CONF", dir)
	t.Setenv("HOME", t.TempDir())
	clouds := map[string]provider.Cloud{
		"farm":      {Name: "farm", Type: "lxd", Endpoint: "https://lxd.example:8443/"},
		"other":     {Name: "other", Type: "lxd", Endpoint: "https://elsewhere.example:8443"},
		"localhost": {Name: "localhost", Type: "lxd"},
		"aws":       {Name: "aws", Type: "ec2", Endpoint: "https://lxd.example:8443"},
	}
	if found, err := lxcCredentials(clouds); err != nil || len(found) != 0 {
		t.Fatalf("without a certificate: %v, %v", found, err)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("client.crt", "C")
	write("client.key", "K")
	write("config.yml", "remotes:\n  barn: {addr: 'https://lxd.example:8443', protocol: lxd}\n  images: {addr: 'https://elsewhere.example:8443', protocol: simplestreams}\n  local: {addr: 'unix://'}\n")
	if _, err := lxcCredentials(clouds); err == nil || !strings.Contains(err.Error(), `lxc's remote "barn"`) {
		t.Errorf("without the remote's certificate: %v", err)
	}
	write("servercerts/barn.crt", "S")
	found, err := lxcCredentials(clouds)
	farm := found["farm"]
	if err != nil || len(found) != 1 || farm.Name != "barn" || farm.AuthType != "certificate" ||
		farm.Attributes["client-cert"] != "C" || farm.Attributes["client-key"] != "K" || farm.Attributes["server-cert"] != "S" {
		t.Errorf("found %v, %v", found, err)
	}
}
