package lxd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// tagInstance is the instance that a profile of ours is for.
const tagInstance = "user.grigri-instance"

// SetProfiles implements provider.Profiler. Each application's is a profile of LXD's for this instance alone, so that what one
// machine needs changes no other.
func (p *Provider) SetProfiles(ctx context.Context, id provider.InstanceID, want map[string]provider.Profile) error {
	if err := p.setProfiles(ctx, id, want); err != nil {
		return fmt.Errorf("set the profiles of instance %s: %w", id, classify(err))
	}
	return nil
}

func (p *Provider) setProfiles(ctx context.Context, id provider.InstanceID, want map[string]provider.Profile) error {
	s, i, err := p.find(ctx, id)
	if err != nil {
		return err
	}
	var names []string
	for _, app := range slices.Sorted(maps.Keys(want)) {
		profile := profileOf(i.Name, app, want[app])
		if err := p.setProfile(ctx, s, profile); err != nil {
			return fmt.Errorf("that of %s: %w", app, err)
		}
		names = append(names, profile.Name)
	}
	for try := range tries {
		i, etag, err := s.GetInstance(ctx, i.Name)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(slices.Clone(i.Profiles), func(n string) bool { return strings.HasPrefix(n, i.Name+".") })
		if all := slices.Concat(others, names); !slices.Equal(all, i.Profiles) {
			put := i.Writable()
			put.Profiles = all
			op, err := s.UpdateInstance(ctx, i.Name, put, etag)
			if err == nil {
				err = op.WaitContext(ctx)
			}
			if err != nil && try < tries-1 && (unknown(err) || raced(err)) {
				if err := pause(ctx, try); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return err
			}
		}
		break
	}
	return p.deleteProfiles(ctx, s, i.Name, names)
}

func profileOf(instance, app string, want provider.Profile) client.Profile {
	out := client.Profile{Name: provider.ProfileName(provider.InstanceID(instance), app), Description: want.Description, Config: map[string]string{}, Devices: map[string]map[string]string{}}
	maps.Copy(out.Config, want.Config)
	maps.Copy(out.Devices, want.Devices)
	out.Config[tagInstance] = instance
	return out
}

func (p *Provider) setProfile(ctx context.Context, s *client.InstanceServer, want client.Profile) error {
	have, etag, err := s.GetProfile(ctx, want.Name)
	if client.IsNotFound(err) {
		if err = s.CreateProfile(ctx, want); !exists(err) {
			return err
		}
		have, etag, err = s.GetProfile(ctx, want.Name)
	}
	if err != nil {
		return err
	}
	if have.Config[tagInstance] != want.Config[tagInstance] {
		return fmt.Errorf("there is a profile %s in LXD that is not ours: rename or delete it", want.Name)
	}
	if have.Description == want.Description && maps.Equal(have.Config, want.Config) && maps.EqualFunc(have.Devices, want.Devices, maps.Equal[map[string]string, map[string]string]) {
		return nil
	}
	return s.UpdateProfile(ctx, want.Name, want, etag)
}

// deleteProfiles deletes the profiles for an instance, but for those to keep.
func (p *Provider) deleteProfiles(ctx context.Context, s *client.InstanceServer, instance string, keep []string) error {
	all, err := s.GetProfiles(ctx)
	if err != nil {
		return err
	}
	for _, have := range all {
		if have.Config[tagInstance] != instance || slices.Contains(keep, have.Name) {
			continue
		}
		if err := s.DeleteProfile(ctx, have.Name); err != nil && !client.IsNotFound(err) {
			return err
		}
	}
	return nil
}
