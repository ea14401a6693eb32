package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/controller/client"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/all"
)

// plugins is the directory of the plugins that this client has.
func (s clientStore) plugins() string { return filepath.Join(s.dir, "plugins") }

// kept is the programs of those with which controllers were made, by their hash: without them such a controller cannot be removed.
func (s clientStore) kept() archive.Dir { return archive.Dir(filepath.Join(s.plugins(), "by-hash")) }

// keepPlugin keeps the plugin of a cloud in which a controller is made, and forgets those that are of no use any more.
func (s clientStore) keepPlugin(b *book, hash, file string) error {
	if file == "" {
		return nil
	}
	if _, err := s.kept().Program(hash); errors.Is(err, archive.ErrNotFound) {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := s.kept().PutProgram(hash, f, userapi.MaxPlugin); err != nil {
			return fmt.Errorf("keep plugin %s: %w", file, err)
		}
	}
	used := map[string]bool{hash: true}
	for _, e := range b.bootstrap.Controllers {
		if e.Definition != nil {
			used[e.Definition.PluginHash] = true
		}
	}
	return s.kept().Trim(time.Now(), func(hash string) bool { return used[hash] })
}

// pluginOf is the file of the plugin that the cloud pins, if this client has that one; otherwise it is empty.
func (s clientStore) pluginOf(cloud provider.Cloud) (string, error) {
	if cloud.PluginHash == "" {
		return "", nil
	}
	if file, err := s.kept().Program(cloud.PluginHash); err == nil {
		return file, nil
	}
	file, hash, err := all.FindPlugin(s.plugins(), cloud.Type)
	if err != nil || hash != cloud.PluginHash {
		return "", err
	}
	return file, nil
}

// sendPlugin gives the controller the plugin that the cloud pins, if it does not have it yet.
func (c *cli) sendPlugin(ctx context.Context, cl *client.Client, t target, cloud provider.Cloud) error {
	if cloud.PluginHash == "" {
		return nil
	}
	if has, err := cl.HasPlugin(ctx, cloud.PluginHash); err != nil || has {
		return err
	}
	file, err := t.store.pluginOf(cloud)
	if err != nil {
		return err
	}
	if file == "" {
		c.infof("WARNING neither controller %q nor this client has the plugin of cloud %q with the SHA-256 %s: put it into %s and say \"%s update-cloud %s --controller %s\"",
			t.controller, cloud.Name, cloud.PluginHash, t.store.plugins(), c.name, cloud.Name, t.controller)
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > userapi.MaxPlugin {
		return fmt.Errorf("send plugin %s: it has %d MiB, and controllers take no more than %d", file, info.Size()>>20, userapi.MaxPlugin>>20)
	}
	if err := cl.UploadPlugin(ctx, cloud.PluginHash, info.Size(), func() (io.ReadCloser, error) { return os.Open(file) }); err != nil {
		return err
	}
	c.infof("Plugin %q sent to controller %q.", filepath.Base(file), t.controller)
	return nil
}

// pin is the cloud with the plugin for its type that this client has, unless it names another one.
func (s clientStore) pin(cloud provider.Cloud) (provider.Cloud, error) {
	if cloud.PluginHash != "" {
		cloud.PluginHash = strings.ToLower(cloud.PluginHash)
		if len(cloud.PluginHash) != 64 || strings.Trim(cloud.PluginHash, "0123456789abcdef") != "" {
			return cloud, fmt.Errorf("cloud %q: plugin-hash %q is no SHA-256 in hex", cloud.Name, cloud.PluginHash)
		}
		return cloud, nil
	}
	var err error
	_, cloud.PluginHash, err = all.FindPlugin(s.plugins(), cloud.Type)
	return cloud, err
}
