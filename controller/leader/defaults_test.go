package leader

import (
	"context"
	"testing"

	"github.com/grigri/grigri/state"
)

// TestTheLeaderBringsWhatIsLeftToInherit: models follow the defaults of their cloud although whoever has changed them has not changed the
// models, whether the leader was there or comes later, and whether there were any defaults before.
func TestTheLeaderBringsWhatIsLeftToInherit(t *testing.T) {
	w := newWorld(t)
	set := func(value string) {
		t.Helper()
		edit(w, func(ctx context.Context, r state.Reader) (tx state.Txn, err error) {
			rec, err := state.ReadIf[state.ModelDefaults](ctx, r, state.DefaultsPath("cloud"))
			state.Put(&tx, state.DefaultsPath("cloud"), rec, state.ModelDefaults{Controller: state.ModelConfig{"http-proxy": value}})
			return tx, err
		})
	}
	has := func(about string, m state.ModelID, value string) {
		t.Helper()
		config, err := state.Read[state.ModelConfig](t.Context(), w.store.Client, m.ConfigPath())
		if err != nil || config.Value["http-proxy"] != value {
			t.Fatalf("%s model %s has %q, %v; want %q\n%s", about, m, config.Value["http-proxy"], err, value, w.logs)
		}
	}
	own := state.ModelID("00000000-0000-4000-8000-000000000000")
	w.settle()
	set("one")
	w.settle()
	has("the first default:", model, "one")
	has("the first default:", own, "one")
	edit(w, func(ctx context.Context, r state.Reader) (state.Txn, error) {
		tx, _, err := state.SetModelConfig(ctx, r, own, w.by(), state.ModelConfig{"http-proxy": "its own"}, nil)
		return tx, err
	})
	set("two")
	w.elect()
	w.settle()
	has("another leader:", model, "two")
	has("another leader:", own, "its own")
	before := w.store.commits
	w.settle()
	if w.store.commits > before {
		t.Errorf("with nothing to do the leader commits %d times", w.store.commits-before)
	}
}
