package resolve

import (
	"encoding/json"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// Rebooting returns what the unit has done when what it has run asked for the machine to start again. Nothing else happens
// until the machine's boot id is no more that of r.
func Rebooting(l Local, r Remote) Local {
	l.Reboot = r.Boot
	return l
}

// Cut returns what the unit has done when the hook, which Next returned for l and r, was killed because it asked for the machine
// to start again at once: it runs once more, before the start hook that follows.
func Cut(l Local, r Remote, h hooks.Hook) Local {
	l.Failed, l.Answer = nil, r.Answer.Rev
	l.Again = &state.Again{Hook: state.Encode(h)}
	return Rebooting(l, r)
}

func rebooting(l Local, r Remote) bool { return l.Reboot != "" && l.Reboot == r.Boot }

// again is the hook that was cut, unless what it was to tell is no more.
func again(l Local, r Remote) Op {
	var h hooks.Hook
	err := json.Unmarshal(l.Again.Hook, &h)
	if err != nil || moot(h, l, r) { // no code of ours writes what cannot be read
		return Skip{h, Moot}
	}
	return Run{h}
}
