package zk

import (
	"testing"

	"github.com/grigri/grigri/state/storetest"
)

func TestContract(t *testing.T) { storetest.Run(t, harness) }
