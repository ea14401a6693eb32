package resolve

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/grigri/grigri/state"
)

// changeSecret does one line of a scenario that is about secrets.
func (p *player) changeSecret(w []string, at func(int) time.Time) error {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	num := func(i int) int { n, _ := strconv.Atoi(arg(i)); return n }
	id := state.SecretID(arg(1))
	own, others := p.r.Own[id], p.r.Others[id]
	own.Revisions = slices.Clone(own.Revisions)
	switch w[0] {
	case "secret":
		own = OwnSecret{Secret: state.Secret{Label: arg(2), Last: 1, Revisions: []state.SecretRevision{{Number: 1}}}}
	case "no-secret":
		delete(p.r.Own, id)
		return nil
	case "secret-set":
		own.Last++
		own.Revisions = append(own.Revisions, state.SecretRevision{Number: own.Last})
	case "rotate":
		own.Rotate, own.NextRotate = "hourly", at(2)
	case "expire":
		own.Revisions[num(2)-1].Expire = at(3)
	case "unused":
		own.Obsolete = append(own.Obsolete, num(2))
	case "others-secret", "no-access", "refresh":
		switch w[0] {
		case "others-secret":
			others.Latest, others.Label, others.Revision = num(2), arg(3), max(1, others.Revision)
		case "no-access":
			others.Latest = 0
		case "refresh":
			others.Revision = others.Latest
		}
		if p.r.Others == nil {
			p.r.Others = map[state.SecretID]OthersSecret{}
		}
		p.r.Others[id] = others
		return nil
	default:
		return fmt.Errorf("no such change")
	}
	if p.r.Own == nil {
		p.r.Own = map[state.SecretID]OwnSecret{}
	}
	p.r.Own[id] = own
	return nil
}

// toldSecrets is r after op, as the agent's commit makes it.
func toldSecrets(r *Remote, op Op, now time.Time) {
	h := Tells(op)
	if own, ok := r.Own[h.Secret]; ok {
		own.Secret = Told(own.Secret, h, now)
		r.Own[h.Secret] = own
	}
	if others, ok := r.Others[h.Secret]; ok {
		others.Tracked = ToldOf(others.Tracked, h)
		r.Others[h.Secret] = others
	}
}
