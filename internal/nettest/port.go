package nettest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Port is a port of 127.0.0.1 on which nobody listens, for a program that is to. The kernel gives it to nobody who asks for any, and
// grigri picks none like it.
func Port(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10000 + rand.IntN(7000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("100 ports that were tried are all taken")
	return 0
}
