package hooks

import "github.com/grigri/grigri/state"

// Storage is what storage a unit has: by number.
type Storage struct {
	Instances []StorageInstance
	Asked     map[string]int // how many more of each the unit has asked for and not been given yet
}

// A StorageInstance is one storage instance as a hook sees it.
type StorageInstance struct {
	ID       state.StorageID
	Kind     string // filesystem or block
	Location string
	Attached bool // its attached hook has run, and not its detaching hook
	Going    bool // it is being detached
}
