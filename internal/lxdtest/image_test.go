package lxdtest

import (
	"sync"
	"testing"
)

// The tests of several packages, and parallel tests of one, ask for the image at once.
func TestManyAskForAnImage(t *testing.T) {
	need(t)
	want, _, err := imageFile("tiny", tinyScript)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, _, err := imageFile("tiny", tinyScript); err != nil || got != want {
					t.Errorf("the image is %q, %v, want %q", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}
