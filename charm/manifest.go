package charm

import (
	"slices"
	"strings"
)

// readBases reads manifest.yaml. Juju refuses a manifest without bases; here the series or the base that the user asks for do.
func readBases(v value) []Base {
	var out []Base
	for _, item := range v.get("bases").items() {
		channel := item.get("channel")
		b := Base{Name: item.get("name").required(), Architectures: texts(item.get("architectures"))}
		b.Channel, _, _ = strings.Cut(channel.scalar(), "/")
		if b.Channel == "" {
			channel.fail("missing, expected a release like 22.04")
		}
		out = append(out, b)
	}
	return out
}

// readProfile reads lxd-profile.yaml and refuses what would let a charm out of its container or bind the host.
func readProfile(v value) *Profile {
	if v.empty() {
		return nil
	}
	p := &Profile{Description: v.get("description").text()}
	for _, e := range v.get("config").entries() {
		for _, prefix := range []string{"boot", "limits", "migration"} {
			if strings.HasPrefix(e.key, prefix) {
				e.value.fail("a charm's profile may not set %s*", prefix)
			}
		}
		if p.Config == nil {
			p.Config = map[string]string{}
		}
		p.Config[e.key] = e.value.scalar()
	}
	for _, e := range v.get("devices").entries() {
		e.value.get("type").word("", "unix-char", "unix-block", "gpu", "usb")
		device := map[string]string{}
		for _, field := range e.value.entries() {
			device[field.key] = field.value.scalar()
		}
		if p.Devices == nil {
			p.Devices = map[string]map[string]string{}
		}
		p.Devices[e.key] = device
	}
	if p.Description == "" && p.Config == nil && p.Devices == nil {
		return nil
	}
	return p
}

// basesOf are the bases that charmcraft.yaml says the charm runs on.
func basesOf(v value) []Base {
	var out []Base
	for _, item := range v.get("bases").items() {
		runs := item.get("run-on")
		if runs.empty() {
			runs = item.get("build-on")
		}
		bases := runs.items()
		if runs.empty() {
			bases = []value{item}
		}
		for _, b := range bases {
			out = append(out, Base{b.get("name").scalar(), b.get("channel").scalar(), texts(b.get("architectures"))})
		}
	}
	return append(out, platformsOf(v)...)
}

// platformsOf reads the newer form: base "ubuntu@24.04" with platforms by architecture, or platforms
// that name the base themselves, "ubuntu@24.04:amd64".
func platformsOf(v value) []Base {
	var out []Base
	add := func(base, arch string) {
		name, channel, ok := strings.Cut(base, "@")
		if !ok {
			return
		}
		i := slices.IndexFunc(out, func(b Base) bool { return b.Name == name && b.Channel == channel })
		if i < 0 {
			out = append(out, Base{Name: name, Channel: channel})
			i = len(out) - 1
		}
		if arch != "" && arch != "all" && !slices.Contains(out[i].Architectures, arch) {
			out[i].Architectures = append(out[i].Architectures, arch)
		}
	}
	base := v.get("base").scalar()
	add(base, "")
	for _, e := range v.get("platforms").entries() {
		targets := texts(e.value.get("build-for"))
		if len(targets) == 0 {
			targets = []string{e.key}
		}
		for _, target := range targets {
			on, arch, named := strings.Cut(target, ":")
			if !named {
				on, arch = base, target
			}
			add(on, arch)
		}
	}
	return out
}
