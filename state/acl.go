package state

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// A Principal is a party that nodes can be open to. Controllers may do everything, everywhere, and are in no ACL.
type Principal string

// Agents is every agent of every model. The others are of one model.
const Agents Principal = "agents"

// ModelAgents is every agent of the model.
func (m ModelID) ModelAgents() Principal { return Principal(string(m) + "/model") }

// MachinePrincipal is the machine; it proves itself with its certificate. All others do with a secret.
func (m ModelID) MachinePrincipal(id MachineID) Principal {
	return Principal(string(m) + "/" + id.Tag())
}

// UnitPrincipal is the unit itself.
func (m ModelID) UnitPrincipal(u UnitName) Principal { return Principal(string(m) + "/" + u.Tag()) }

// ApplicationPrincipal is every unit of the application.
func (m ModelID) ApplicationPrincipal(a ApplicationName) Principal {
	return Principal(string(m) + "/app-" + string(a))
}

// RelationPrincipal is every unit of the applications of the relation.
func (m ModelID) RelationPrincipal(r RelationID) Principal {
	return Principal(string(m) + "/rel-" + r.String())
}

// Machine is the model and the machine of a machine's principal; ok is false for any other.
func (p Principal) Machine() (m ModelID, id MachineID, ok bool) {
	model, rest, _ := strings.Cut(string(p), "/")
	name, ok := strings.CutPrefix(rest, "machine-")
	return ModelID(model), MachineOfNode(name), ok
}

// A Credential proves a principal. Its Secret is in no log.
type Credential struct {
	Principal Principal `json:"principal"`
	Secret    string    `json:"secret"`
}

// A Key is the controllers' own: all secrets come from it. It is never in the tree.
type Key []byte

// Credential is the credential of the principal. The same key and principal give the same secret for ever.
func (k Key) Credential(p Principal) Credential {
	h := hmac.New(sha256.New, k)
	h.Write([]byte("grigri principal\x00" + string(p)))
	return Credential{Principal: p, Secret: hex.EncodeToString(h.Sum(nil))[:40]}
}

// An ACL is who may do what to a node, besides the controllers. Create and Delete are of its children.
type ACL struct{ Read, Write, Create, Delete []Principal }

// Principals is everyone in the ACL, each once, in order of appearance.
func (a ACL) Principals() []Principal {
	var out []Principal
	seen := map[Principal]bool{}
	for _, list := range [][]Principal{a.Read, a.Write, a.Create, a.Delete} {
		for _, p := range list {
			if !seen[p] {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	return out
}

// ACLFor says who may do what to the node at path. A path it does not know is for controllers alone.
func ACLFor(path string) ACL {
	rest, ok := strings.CutPrefix(path, ModelsPath+"/")
	if !ok {
		return ACL{}
	}
	id, rest, _ := strings.Cut(rest, "/")
	m := ModelID(id)
	p := strings.Split(rest, "/")
	all := []Principal{m.ModelAgents()}
	switch p[0] {
	case "config", "constraints", "addresses":
		return ACL{Read: all}
	case "changes":
		if len(p) == 1 {
			return ACL{Create: all}
		}
	case "applications":
		if len(p) > 1 {
			return m.applicationACL(ApplicationName(p[1]), p[2:])
		}
	case "units":
		if len(p) > 1 {
			return m.unitACL(UnitOfNode(p[1]), p[2:])
		}
	case "machines":
		if len(p) > 1 {
			return m.machineACL(MachineOfNode(p[1]), p[2:])
		}
	case "relations":
		if len(p) > 1 {
			return m.relationACL(p[1], p[2:])
		}
	}
	return ACL{}
}

func (m ModelID) applicationACL(a ApplicationName, p []string) ACL {
	app := []Principal{m.ApplicationPrincipal(a)}
	if len(p) == 0 {
		return ACL{Read: app}
	}
	switch p[0] {
	case "election":
		if len(p) == 1 {
			return ACL{Read: app, Create: app, Delete: app}
		}
		return ACL{Read: app, Write: app}
	case "leader", "status":
		return ACL{Read: app, Write: app}
	case "secrets":
		return secretACL(app, p[1:])
	}
	return ACL{} // exposed and promise
}

func (m ModelID) unitACL(u UnitName, p []string) ACL {
	self := []Principal{m.UnitPrincipal(u)}
	if len(p) == 0 {
		return ACL{Read: self, Create: self, Delete: self}
	}
	switch p[0] {
	case "ledger", "status", "ports", "address", "state", "agent", "resources", "payloads", "tracked":
		return ACL{Read: self, Write: self, Create: self, Delete: self}
	case "tasks":
		return tasksACL(self, p[1:])
	case "secrets":
		return secretACL(self, p[1:])
	case "secret-news":
		return ACL{Read: self}
	}
	return ACL{}
}

// tasksACL: controllers give tasks, and who runs one makes and writes its result.
func tasksACL(self []Principal, p []string) ACL {
	switch len(p) {
	case 0:
		return ACL{Read: self}
	case 1:
		return ACL{Read: self, Create: self}
	}
	return ACL{Read: self, Write: self}
}

func (m ModelID) machineACL(id MachineID, p []string) ACL {
	self := []Principal{m.MachinePrincipal(id)}
	if len(p) == 0 {
		return ACL{Read: self, Create: self, Delete: self}
	}
	switch p[0] {
	case "secrets", "rules", "instance":
		return ACL{Read: self}
	case "agent", "report", "left":
		return ACL{Read: self, Write: self}
	case "tasks":
		return tasksACL(self, p[1:])
	case "containers":
		return containersACL(self, p[1:])
	}
	return ACL{} // enrol
}

// relationACL: everyone in the relation may read all of it. A side's own data is written by its leader, a member by
// its unit alone. Anyone in the relation may add a member, but only a member's own unit can have made it: its ACL names it.
func (m ModelID) relationACL(id string, p []string) ACL {
	group := []Principal{Principal(string(m) + "/rel-" + id)}
	if len(p) > 0 && isUnitNode(p[0]) { // container scope: a directory of the principal unit's own
		if len(p) == 1 {
			return ACL{Read: group, Create: group, Delete: group}
		}
		p = p[1:]
	}
	switch {
	case len(p) == 0:
		return ACL{Read: group, Create: group}
	case len(p) == 1: // a side
		return ACL{Read: group, Write: []Principal{m.ApplicationPrincipal(ApplicationName(p[0]))}, Create: group, Delete: group}
	case p[1] == GoneName && len(p) == 2:
		return ACL{Read: group, Create: group, Delete: group}
	case p[1] == GoneName:
		return ACL{Read: group, Write: []Principal{m.UnitPrincipal(UnitOfNode(p[2]))}}
	}
	return ACL{Read: group, Write: []Principal{m.UnitPrincipal(UnitOfNode(p[1]))}}
}

// isUnitNode says whether a node's name is a unit's: the last part of an application's name is never only digits.
func isUnitNode(name string) bool {
	i := strings.LastIndexByte(name, '-')
	return i > 0 && i+1 < len(name) && strings.Trim(name[i+1:], "0123456789") == ""
}
