package lxdtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// OwnerKey is the key, in the configuration of a network or an ACL, whose value is the project of the run that made it.
// These are in no project, and are removed with the one that they name.
const OwnerKey = "user.grigri-project"

// sweep removes what runs have left that are no more. What cannot be removed is left to the next run.
func (s *Server) sweep() {
	var projects []named
	if s.get("/1.0/projects?recursion=1", &projects) != nil {
		return
	}
	for _, p := range projects {
		if !strings.HasPrefix(p.Name, "gt-") || p.Name == s.Project {
			continue
		}
		f, err := lock(s.runFile(p.Name), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue // it lives
		}
		if err := s.remove(p.Name); err != nil {
			fmt.Fprintf(os.Stderr, "what a test left in LXD's project %s is still there: %v\n", p.Name, err)
		} else {
			s.forget(p.Name)
		}
		f.Close()
	}
}

// distrust removes the certificates of controllers, whose runs have all ended: those of one that was killed are still there.
func (s *Server) distrust() error {
	var all []struct{ Name, Fingerprint string }
	if err := s.get("/1.0/certificates?recursion=1", &all); err != nil {
		return err
	}
	for _, c := range all {
		if !strings.HasPrefix(c.Name, "grigri-") {
			continue
		}
		if _, err := s.lxc("", "config", "trust", "remove", c.Fingerprint); err != nil {
			return err
		}
	}
	return nil
}

type named struct {
	Name   string            `json:"name"`
	Type   string            `json:"type"`
	Config map[string]string `json:"config"`
}

// remove removes a project and all that is in it. A project that is not there is no error.
func (s *Server) remove(project string) error {
	var p named
	if err := s.get("/1.0/projects/"+project, &p); err != nil {
		return s.removeOwned(project)
	}
	var instances, profiles, images, volumes []named
	in := "?recursion=1&project=" + project
	errs := []error{
		s.get("/1.0/instances"+in, &instances), s.get("/1.0/profiles"+in, &profiles),
		s.get("/1.0/storage-pools/"+Pool+"/volumes"+in, &volumes),
	}
	if p.Config["features.images"] == "true" {
		errs = append(errs, s.get("/1.0/images"+in, &images))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	del := func(args ...string) {
		_, err := s.lxc("", append(args, "--project", project)...)
		errs = append(errs, err)
	}
	for _, i := range instances {
		del("delete", "--force", i.Name)
	}
	for _, v := range volumes {
		if v.Type == "custom" {
			del("storage", "volume", "delete", Pool, v.Name)
		}
	}
	for _, p := range profiles {
		if p.Name != "default" {
			del("profile", "delete", p.Name)
		}
	}
	if len(images) > 0 {
		errs = append(errs, errors.New("it has images of its own"))
	}
	_, err := s.lxc("", "project", "delete", project)
	errs = append(errs, err, s.removeOwned(project))
	return errors.Join(errs...)
}

func (s *Server) removeOwned(project string) error {
	var errs []error
	for _, kind := range []struct {
		path string
		args []string
	}{{"networks", []string{"network", "delete"}}, {"network-acls", []string{"network", "acl", "delete"}}} {
		var all []named
		if err := s.get("/1.0/"+kind.path+"?recursion=1", &all); err != nil {
			return err
		}
		for _, n := range all {
			if n.Config[OwnerKey] == project {
				_, err := s.lxc("", append(kind.args, n.Name, "--project", "default")...)
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Server) get(path string, v any) error {
	out, err := s.lxc("", "query", path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("what LXD answers to %s: %w", path, err)
	}
	return nil
}
