package api

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// A setting is one setting that models have. Value is its default: text, a bool or an int.
type setting struct {
	key   string
	value any
	check func(string) error
}

// settings is every setting that models have, with its default. The names and defaults are juju's, where juju has them.
func settings() []setting {
	out := []setting{
		{key: "automatically-retry-hooks", value: true},
		{key: "default-base", value: "", check: checkBase},
		{key: "default-space", value: ""},
		{key: "development", value: false},
		{key: "disable-network-management", value: false},
		{key: "egress-subnets", value: "", check: checkSubnets},
		{key: "enable-os-refresh-update", value: true},
		{key: "enable-os-upgrade", value: true},
		{key: "firewall-mode", value: "instance", check: oneOf("instance", "global", "none")},
		{key: "ftp-proxy", value: ""},
		{key: "http-proxy", value: ""},
		{key: "https-proxy", value: ""},
		{key: "image-stream", value: "released"},
		{key: "juju-ftp-proxy", value: ""},
		{key: "juju-http-proxy", value: ""},
		{key: "juju-https-proxy", value: ""},
		{key: "juju-no-proxy", value: state.NoProxy},
		{key: "logging-config", value: "<root>=INFO"},
		{key: "manual-firewall", value: false},
		{key: "max-action-results-age", value: "336h", check: checkDuration},
		{key: "max-action-results-size", value: "5G", check: checkSize},
		{key: "mode", value: "requires-prompts"},
		{key: "no-proxy", value: state.NoProxy},
		{key: "num-container-provision-workers", value: 4},
		{key: "num-provision-workers", value: 16},
		{key: "provisioner-harvest-mode", value: "destroyed", check: oneOf("all", "none", "unknown", "destroyed")},
		{key: "proxy-ssh", value: false},
		{key: "resource-tags", value: ""},
		{key: state.RestartStoppedAfter, value: state.DefaultHealing.String(), check: checkHealing},
		{key: "saas-ingress-allow", value: "0.0.0.0/0,::/0"},
		{key: "secret-backend", value: "auto"},
		{key: "ssh-allow", value: "0.0.0.0/0,::/0"},
		{key: "ssl-hostname-verification", value: true},
		{key: "test-mode", value: false},
		{key: "transmit-vendor-metrics", value: true},
		{key: "update-status-hook-interval", value: "5m", check: checkInterval},
	}
	for _, key := range []string{"apt-http-proxy", "apt-https-proxy", "apt-ftp-proxy", "apt-no-proxy", "apt-mirror", "backup-dir", "cloudinit-userdata",
		"container-inherit-properties", "container-networking-method", "extra-info", "snap-http-proxy", "snap-https-proxy", "snap-store-assertions",
		"snap-store-proxy", "snap-store-proxy-url", "agent-stream", "agent-metadata-url", "image-metadata-url", "lxd-snap-channel", "charmhub-url"} {
		out = append(out, setting{key: key, value: ""})
	}
	return out
}

// readOnly is the settings that are what the model is, and are never set.
func readOnly(m state.Model, agentVersion string) map[string]any {
	return map[string]any{"name": m.Name, "type": m.Cloud, "uuid": string(m.UUID), "agent-version": agentVersion}
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		return fmt.Errorf("%q is not one of %s", text, strings.Join(words, ", "))
	}
}

func checkDuration(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration such as 90s, 5m or 1h30m", text)
	}
	return nil
}

func checkHealing(text string) error {
	if text == state.RestartNever {
		return nil
	}
	if err := checkDuration(text); err != nil {
		return fmt.Errorf("%w, and not %q", err, state.RestartNever)
	}
	return nil
}

// checkInterval is checkDuration for what may be off.
func checkInterval(text string) error {
	if d, err := time.ParseDuration(text); err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration such as 90s, 5m or 1h30m, nor 0 for never", text)
	}
	return nil
}

func checkSubnets(text string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		if _, err := netip.ParsePrefix(strings.TrimSpace(part)); err != nil {
			return fmt.Errorf("%q is not a list of subnets such as 10.0.0.0/8,192.0.2.7/32", text)
		}
	}
	return nil
}

func checkSize(text string) error {
	_, err := state.ParseSize(text)
	return err
}

func checkBase(text string) error {
	name, channel, ok := strings.Cut(text, "@")
	if text != "" && (!ok || name == "" || channel == "") {
		return fmt.Errorf("%q is not a base such as ubuntu@24.04", text)
	}
	return nil
}

// checkModelConfig says whether these settings may be set; one that nobody knows may, with a warning.
func checkModelConfig(set map[string]string) (config state.ModelConfig, warnings []string, err error) {
	known := map[string]setting{}
	for _, s := range settings() {
		known[s.key] = s
	}
	fixed := readOnly(state.Model{}, "")
	fixed["authorized-keys"] = nil
	config = state.ModelConfig{}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		text := set[key]
		if _, ok := fixed[key]; ok {
			return nil, nil, invalid(fmt.Sprintf("%q cannot be set", key))
		}
		s, ok := known[key]
		switch {
		case key == "" || strings.ContainsAny(key, " \t\n"):
			return nil, nil, invalid(fmt.Sprintf("%q is not the name of a setting", key))
		case !ok:
			warnings = append(warnings, fmt.Sprintf("key %q is not defined in the current model configuration: possible misspelling", key))
		case s.check != nil:
			err = s.check(text)
		default:
			_, err = s.typed(text)
		}
		if err != nil {
			return nil, nil, invalid(fmt.Sprintf("setting %q: %v", key, err))
		}
		config[key] = text
	}
	return config, warnings, nil
}

// typed is the text as the type of the setting's default.
func (s setting) typed(text string) (any, error) {
	switch s.value.(type) {
	case bool:
		v, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return nil, fmt.Errorf("%q is not true or false", text)
		}
		return v, nil
	case int:
		v, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return v, nil
	}
	return text, nil
}

// shown is the text as users are shown it: typed, if it can be.
func (s setting) shown(text string) any {
	value, err := s.typed(text)
	if err != nil {
		return text
	}
	return value
}

// modelSettings is all settings of the model with where each comes from.
func modelSettings(m state.Model, set state.ModelConfig, from state.Inherited, agentVersion string) map[string]userapi.ModelSetting {
	out := map[string]userapi.ModelSetting{}
	known := map[string]setting{}
	for _, s := range settings() {
		known[s.key] = s
		out[s.key] = userapi.ModelSetting{Value: s.value, Source: "default"}
	}
	for key, value := range readOnly(m, agentVersion) {
		out[key] = userapi.ModelSetting{Value: value, Source: "model"}
	}
	for key, text := range set {
		source := "model"
		if inherited, ok := from[key]; ok {
			source = inherited
		}
		out[key] = userapi.ModelSetting{Value: known[key].shown(text), Source: source}
	}
	return out
}
