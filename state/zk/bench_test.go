package zk

import (
	"testing"

	"github.com/grigri/grigri/state"
)

// BenchmarkHeard is from a write to its reading by one who watches, with what that costs beside it: the same with the
// library alone.
func BenchmarkHeard(b *testing.B) {
	cfg := config()
	writer, reader := open(b, cfg), open(b, cfg)
	if err := writer.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	var x state.Txn
	x.Create("/a", 1)
	if _, err := writer.Commit(b.Context(), x); err != nil {
		b.Fatal(err)
	}
	b.Run("store", func(b *testing.B) {
		w := reader.Watch(b.Context())
		w.Data("/a")
		<-w.C()
		w.Take()
		for b.Loop() {
			var x state.Txn
			x.Set("/a", 1, state.Any)
			if _, err := writer.Commit(b.Context(), x); err != nil {
				b.Fatal(err)
			}
			<-w.C()
			w.Take()
			if _, err := reader.Get(b.Context(), "/a"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		path := cfg.Chroot + "/a"
		for b.Loop() {
			_, _, ch, err := reader.conn.GetW(path)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := writer.conn.Set(path, nil, -1); err != nil {
				b.Fatal(err)
			}
			<-ch
		}
	})
}
