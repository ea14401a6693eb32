package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grigri/grigri/state"
)

// Same does the same at random to the trees that model and real make, and wants the same answers: results, kinds of
// error, versions, the order of stamps, sessions, and what the watches report.
func Same(t *testing.T, model, real func(testing.TB) Harness) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	p := &pair{ctx: ctx, sides: [2]*side{newSide(t, model(t)), newSide(t, real(t))}}
	rapid.Check(t, p.check)
}

// A pair is two trees, each with clients who do the same.
type pair struct {
	ctx   context.Context
	sides [2]*side
	runs  int
	marks int

	stamps   map[state.Stamp]state.Stamp // of the model: of the real one
	sessions map[int64]int64
}

// The clients: two controllers and a machine.
const (
	boss = iota
	rival
	agent
	clients
)

type side struct {
	h       Harness
	tb      testing.TB
	stores  [clients]state.Store
	watches [clients]state.Watch
}

func newSide(t *testing.T, h Harness) *side {
	return &side{h: h, tb: t, stores: [clients]state.Store{h.Controller(t), h.Controller(t), h.Machine(t, model, machine)}}
}

// check is one run, in a model of its own.
func (p *pair) check(t *rapid.T) {
	p.runs++
	m := state.ModelID(fmt.Sprintf("run-%d", p.runs))
	ctx, end := context.WithCancel(p.ctx)
	defer end()
	p.stamps, p.sessions = map[state.Stamp]state.Stamp{}, map[int64]int64{0: 0}
	for _, s := range p.sides {
		s.begin(ctx, t, m)
	}
	paths := []string{
		m.Path() + "/x", m.Path() + "/x/1", m.Path() + "/x/2", m.Path() + "/x/1/q",
		m.ConfigPath(), m.UnitPath(unit), m.StatusPath(unit), m.LedgerPath(unit), m.LedgerPath(unit) + "/7", m.Path() + "/none/x",
	}
	path := rapid.SampledFrom(paths)
	who := rapid.IntRange(0, clients-1)
	expiries := 0
	t.Repeat(map[string]func(*rapid.T){
		"commit": func(t *rapid.T) { p.commit(t, who.Draw(t, "who"), drawTxn(t, path)) },
		"again":  func(t *rapid.T) { p.commit(t, boss, drawTxn(t, path)) },
		"get":    func(t *rapid.T) { p.get(t, who.Draw(t, "who"), path.Draw(t, "path")) },
		"list":   func(t *rapid.T) { p.list(t, who.Draw(t, "who"), path.Draw(t, "path")) },
		"watch": func(t *rapid.T) {
			w, at, what := who.Draw(t, "who"), path.Draw(t, "path"), rapid.IntRange(0, 2).Draw(t, "what")
			for _, s := range p.sides {
				switch what {
				case 0:
					s.watches[w].Data(at)
				case 1:
					s.watches[w].Children(at)
				default:
					s.watches[w].Drop(at)
				}
			}
		},
		"take": func(t *rapid.T) { p.take(t, m, who.Draw(t, "who")) },
		"prove": func(t *rapid.T) {
			of := rapid.SampledFrom([]state.Principal{m.ModelAgents(), m.UnitPrincipal(unit)}).Draw(t, "principal")
			for _, s := range p.sides {
				if err := s.stores[agent].Prove(ctx, s.h.Key.Credential(of)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"expire": func(t *rapid.T) {
			if expiries++; expiries > 1 { // it takes long on a real server
				t.Skip()
			}
			w := who.Draw(t, "who")
			for _, s := range p.sides {
				s.h.Expire(s.tb, s.stores[w])
			}
		},
	})
	for w := range clients {
		p.take(t, m, w)
	}
}

// begin makes what a run begins with, and the watches.
func (s *side) begin(ctx context.Context, t *rapid.T, m state.ModelID) {
	var x state.Txn
	if m == "run-1" {
		x.Create(state.ModelsPath, nil)
	}
	for _, path := range []string{m.Path(), m.UnitsPath(), m.UnitPath(unit), m.ConfigPath()} {
		x.Create(path, nil)
	}
	if _, err := s.stores[boss].Commit(ctx, x); err != nil {
		t.Fatal(err)
	}
	for i, store := range s.stores {
		s.watches[i] = store.Watch(ctx)
	}
}

func drawTxn(t *rapid.T, path *rapid.Generator[string]) state.Txn {
	var x state.Txn
	for range rapid.IntRange(1, 4).Draw(t, "ops") {
		x.Ops = append(x.Ops, state.Op{
			Kind:      rapid.SampledFrom([]state.OpKind{state.OpCreate, state.OpCreate, state.OpSet, state.OpDelete, state.OpCheck}).Draw(t, "kind"),
			Path:      path.Draw(t, "path"),
			Version:   state.Version(rapid.SampledFrom([]int{-1, -1, -1, 0, 1, 2}).Draw(t, "version")),
			Data:      []byte(rapid.SampledFrom([]string{"", "1", "22"}).Draw(t, "data")),
			Sequence:  rapid.IntRange(0, 4).Draw(t, "sequence") == 0,
			Ephemeral: rapid.IntRange(0, 4).Draw(t, "ephemeral") == 0,
		})
	}
	return x
}

// class is the kind of an error.
func class(err error) string {
	for _, e := range []error{state.ErrConflict, state.ErrNotFound, state.ErrTooLarge, state.ErrUnknown, state.ErrDenied} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	if err != nil {
		return "another error"
	}
	return "fine"
}

func (p *pair) same(t *rapid.T, what string, errs [2]error) {
	if class(errs[0]) != class(errs[1]) {
		t.Fatalf("%s: the model says %v, the real one %v", what, errs[0], errs[1])
	}
}

func (p *pair) commit(t *rapid.T, w int, x state.Txn) {
	var created [2][]string
	var errs [2]error
	for i, s := range p.sides {
		created[i], errs[i] = s.stores[w].Commit(p.ctx, x)
	}
	p.same(t, fmt.Sprintf("commit %v", x), errs)
	if !slices.Equal(created[0], created[1]) {
		t.Fatalf("the model has created %v, the real one %v", created[0], created[1])
	}
}

func (p *pair) get(t *rapid.T, w int, path string) {
	var n [2]state.Node
	var errs [2]error
	for i, s := range p.sides {
		n[i], errs[i] = s.stores[w].Get(p.ctx, path)
	}
	p.same(t, "get "+path, errs)
	p.sameStamp(t, n[0].Stamp, n[1].Stamp)
	p.sameStamp(t, n[0].Created, n[1].Created)
	if s, ok := p.sessions[n[0].Session]; ok && s != n[1].Session {
		t.Fatalf("%s: the model's session %d is both %d and %d", path, n[0].Session, s, n[1].Session)
	}
	p.sessions[n[0].Session] = n[1].Session
	if string(n[0].Data) != string(n[1].Data) || n[0].Version != n[1].Version || n[0].Children != n[1].Children {
		t.Fatalf("%s: the model has %+v, the real one %+v", path, n[0], n[1])
	}
}

// sameStamp wants the stamps of the two trees in the same order.
func (p *pair) sameStamp(t *rapid.T, a, b state.Stamp) {
	if known, ok := p.stamps[a]; ok && known != b {
		t.Fatalf("the model's stamp %d is both %d and %d", a, known, b)
	}
	p.stamps[a] = b
	keys := slices.Sorted(maps.Keys(p.stamps))
	for i, k := range keys[1:] {
		if p.stamps[keys[i]] >= p.stamps[k] {
			t.Fatalf("the model's stamps %d and %d are %d and %d", keys[i], k, p.stamps[keys[i]], p.stamps[k])
		}
	}
}

func (p *pair) list(t *rapid.T, w int, path string) {
	var names [2][]string
	var errs [2]error
	for i, s := range p.sides {
		names[i], errs[i] = s.stores[w].Children(p.ctx, path)
	}
	p.same(t, "children of "+path, errs)
	if !slices.Equal(names[0], names[1]) {
		t.Fatalf("%s: the model has %v, the real one %v", path, names[0], names[1])
	}
}

// take compares what the client's watch has to report once all is quiet.
func (p *pair) take(t *rapid.T, m state.ModelID, w int) {
	var got [2][]string
	for i, s := range p.sides {
		for range 2 { // what came while the first mark was on its way comes with the second
			p.marks++
			got[i] = append(got[i], s.drain(t, w, fmt.Sprintf("%s/mark-%d", m.Path(), p.marks))...)
		}
		slices.Sort(got[i])
		got[i] = slices.Compact(got[i])
	}
	if !slices.Equal(got[0], got[1]) {
		t.Fatalf("client %d: the model reports %v, the real one %v", w, got[0], got[1])
	}
}

// drain takes until a mark is reported, which is watched now for the first time.
func (s *side) drain(t *rapid.T, w int, mark string) []string {
	watch := s.watches[w]
	watch.Data(mark)
	defer watch.Drop(mark)
	var got []string
	for late := time.After(patience); ; {
		select {
		case <-watch.C():
		case <-late:
			t.Fatalf("%s is never reported", mark)
		}
		got = append(got, watch.Take()...)
		if i := slices.Index(got, mark); i >= 0 {
			return slices.Delete(got, i, i+1)
		}
	}
}
