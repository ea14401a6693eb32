package userapi

import (
	"fmt"

	"github.com/grigri/grigri/internal/version"
)

// The routes of upgrades of a controller.
const (
	UploadProgramsRoute    = "PUT /v1/controller/programs/{hash}" // {hash}: SHA-256 of the archive, which is the body -> Build
	UpgradeControllerRoute = "POST /v1/controller/upgrade"        // UpgradeController -> Build: what it goes on with
)

// A Build is what a controller's programs say of themselves: "grigrid version" prints it.
type Build struct {
	Release string `json:"release"` // our own version
	Juju    string `json:"juju"`    // that charms are told
	Format  int    `json:"format"`  // of the tree that they know
	Arch    string `json:"arch"`    // as Go names it
	Program string `json:"program"` // SHA-256 of grigrid
}

// UpgradeController asks that a controller goes on with programs that were uploaded.
type UpgradeController struct {
	Programs  string `json:"programs"` // the hash of their archive
	Downgrade bool   `json:"downgrade,omitempty"`
}

// An Upgrade is how the last upgrade of a controller stands that has not succeeded.
type Upgrade struct {
	To     string `json:"to"`               // the hash of the archive
	Failed string `json:"failed,omitempty"` // why; empty: it is under way
}

// CheckUpgrade says why a controller that is have cannot go on as to, or that it need not: then same is true.
func CheckUpgrade(have, to Build, downgrade bool) (same bool, err error) {
	switch {
	case have.Arch != to.Arch:
		return false, fmt.Errorf("its machine is %s and the programs are for %s: use a client for %s, with its programs beside it", have.Arch, to.Arch, have.Arch)
	case have.Format != to.Format:
		return false, fmt.Errorf("it keeps a tree of format %d, and version %s knows format %d", have.Format, to.Release, to.Format)
	case have.Program == to.Program:
		return true, nil
	case version.Compare(to.Release, have.Release) < 0 && !downgrade:
		return false, fmt.Errorf("it runs version %s, and %s is older: give --downgrade if you mean it", have.Release, to.Release)
	}
	return false, nil
}
