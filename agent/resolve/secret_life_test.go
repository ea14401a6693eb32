package resolve

import (
	"slices"
	"time"

	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/state"
)

// changeSecrets makes one change of a secret of the unit, or of one that it reads.
func (w *life) changeSecrets() {
	r := &w.r
	if r.Own == nil {
		r.Own, r.Others = map[state.SecretID]OwnSecret{}, map[state.SecretID]OthersSecret{}
	}
	id := state.SecretID([]string{"s1", "s2"}[w.draw(2)])
	own, others := r.Own[id], r.Others[id]
	switch w.draw(8) {
	case 0: // another unit leads, or the secret has gone
		delete(r.Own, id)
		return
	case 1:
		own.Rotate, own.NextRotate = "hourly", w.now.Add(time.Duration(w.draw(20)-5)*time.Second)
	case 2:
		if n := len(own.Revisions); n > 0 {
			own.Revisions = slices.Clone(own.Revisions)
			own.Revisions[n-1].Expire = w.now.Add(time.Duration(w.draw(20)-5) * time.Second)
		}
	case 3:
		if own.Last > 1 {
			own.Obsolete = []int{1 + w.draw(own.Last-1)}
		}
	case 4:
		others.Latest++
	case 5:
		others.Revision = others.Latest
	case 6:
		others.Latest = 0
	default:
		own.Last++
		own.Revisions = append(slices.Clone(own.Revisions), state.SecretRevision{Number: own.Last})
	}
	if own.Last > 0 {
		r.Own[id] = own
	}
	r.Others[id] = others
}

// toldSecrets is the world after op: its charm, now and then, does what the hook is for.
func (w *life) toldSecrets(op Op) {
	h := Tells(op)
	if own, ok := w.r.Own[h.Secret]; ok && h.Kind == hooks.SecretRotate && w.chance(2) {
		own.Last++
		own.Revisions = append(slices.Clone(own.Revisions), state.SecretRevision{Number: own.Last})
		w.r.Own[h.Secret] = own
	}
	toldSecrets(&w.r, op, w.now)
}

// calmSecrets: nothing is to be rotated and nothing expires any more, so that the unit can come to rest.
func (w *life) calmSecrets() {
	for id, own := range w.r.Own {
		own.NextRotate = time.Time{}
		own.Revisions = slices.Clone(own.Revisions)
		for i := range own.Revisions {
			own.Revisions[i].Expire = time.Time{}
		}
		w.r.Own[id] = own
	}
}
