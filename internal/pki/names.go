package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"

	"github.com/grigri/grigri/state"
)

const organization = "grigri"

// ZooKeeperHost is the host name in ZooKeeper's certificate. Clients ask for it whatever the address they dial,
// so that the address may change.
const ZooKeeperHost = "zookeeper"

// ControllerName is the name of every controller. Its String is what ZooKeeper calls its super user.
func ControllerName() pkix.Name { return name("controller") }

// ZooKeeperName is the name of ZooKeeper.
func ZooKeeperName() pkix.Name { return name("zookeeper") }

// MachineName is the name of a machine of a model. Its String is the machine's identity in ZooKeeper's x509 scheme.
func MachineName(m state.ModelID, id state.MachineID) pkix.Name {
	n := name(id.Tag())
	n.OrganizationalUnit = []string{string(m)}
	return n
}

// IsController says whether a certificate names a controller. The certificate must have been verified.
func IsController(c *x509.Certificate) bool { return c.Subject.String() == ControllerName().String() }

// ParseMachine is the machine that a certificate names; ok is false if it names something else.
// The certificate must have been verified.
func ParseMachine(c *x509.Certificate) (m state.ModelID, id state.MachineID, ok bool) {
	tag, ok := strings.CutPrefix(c.Subject.CommonName, state.MachineID("").Tag())
	if !ok || len(c.Subject.OrganizationalUnit) != 1 {
		return "", "", false
	}
	m, id = state.ModelID(c.Subject.OrganizationalUnit[0]), state.MachineOfNode(tag)
	return m, id, m != "" && id != "" && c.Subject.String() == MachineName(m, id).String()
}

func name(common string) pkix.Name {
	return pkix.Name{Organization: []string{organization}, CommonName: common}
}
