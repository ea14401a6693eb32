package lxd

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/grigri/grigri/provider"
	"github.com/grigri/grigri/provider/lxd/client"
)

// The keys by which what is ours is known.
const (
	tagController = "user.grigri-controller"
	tagModel      = "user.grigri-model"
	tagGroup      = "user.grigri-group"
	tagMachine    = "user.grigri-machine"
	tagVolume     = "user.grigri-volume"
	tagProject    = "user.grigri-project" // of networks and ACLs, which are in the default project: the one whose machines use them
	tagBooted     = "user.grigri-booted"  // yes: the first-boot script has been handed over
)

// A machineKey names a machine of a model of a controller.
type machineKey struct{ controller, model, machine string }

func keyOf(req provider.StartRequest) machineKey {
	return machineKey{req.Controller, req.Model, req.Machine}
}

func machineOf(config map[string]string) machineKey {
	return machineKey{config[tagController], config[tagModel], config[tagMachine]}
}

func (k machineKey) tags() map[string]string {
	return map[string]string{tagController: k.controller, tagModel: k.model, tagMachine: k.machine}
}

// instance is the name of the machine's instance. It is a host name, and unique in LXD's project.
func (k machineKey) instance() string {
	return "grigri-" + short(k.controller, k.model) + "-" + strings.ReplaceAll(strings.ToLower(k.machine), "/", "-")
}

// bridge is the name of the controller's network, and of the list of its rules. It is that of an interface too, at most 15 long.
func (p *Provider) bridge(controller string) string {
	return "gri-" + short(controller, p.settings.project)
}

func short(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:4])
}

// ours says whether an instance is a machine, of any controller.
func ours(i client.Instance) bool { return i.Config[tagController] != "" && i.Config[tagMachine] != "" }
