package leader

import (
	"testing"

	"github.com/grigri/grigri/state"
)

func TestLife(t *testing.T) {
	w := newWorld(t)
	w.deploy("web", 2)
	w.now = w.now.Add(1)
	w.deploy("db", 1)
	w.settle()
	w.want("db 0@2; web 0@0 1@1; 0 web:cluster [web/0 web/1]; machines 0 1 2")
	w.relate("web", "db")
	w.settle()
	w.want("db 0@2; web 0@0 1@1; 0 web:cluster [web/0 web/1]; 1 web:db db:db [db/0 web/0 web/1]; machines 0 1 2")
	w.removeUnit("web/1", state.Ending{})
	w.settle()
	w.want("db 0@2; web 0@0; 0 web:cluster [web/0]; 1 web:db db:db [db/0 web/0]; machines 0 2")
	w.removeApplication("db", state.Ending{})
	w.settle()
	w.want("web 0@0; 0 web:cluster [web/0]; machines 0")
	w.removeApplication("web", state.Ending{})
	w.settle()
	w.want("machines ")
	if left := w.cloud.machines(); left != "" {
		t.Errorf("instances are left: %s", left)
	}
	w.quiet()
}
