package wiretest

import (
	"net"
	"sync"
	"testing"
)

// A Line is a way to a service that is no HTTP service, such as an sshd: it passes bytes on until it is told not to.
type Line struct {
	Port int // of 127.0.0.1, where the service is reached through it

	to string

	mu     sync.Mutex
	conns  map[net.Conn]bool
	passed int64 // bytes, both ways
	limit  int64 // of passed, at which something happens; zero: nothing does
	harm   LineHarm
	down   bool          // no connection is taken
	dead   chan struct{} // closed while nothing passes
	mended chan struct{} // closed by Mend
}

// A LineHarm is what happens to a line.
type LineHarm int

// CutLine ends all connections, and the next one is as good as ever. Down ends them and takes no other. Silence lets them be, and passes nothing on.
const (
	CutLine LineHarm = iota
	Down
	Silence
)

// StartLine opens a line to host:port. The test closes it.
func StartLine(t testing.TB, to string) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{Port: listener.Addr().(*net.TCPAddr).Port, to: to, conns: map[net.Conn]bool{}, mended: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() { l.run(listener, &running) })
	t.Cleanup(func() {
		listener.Close()
		l.Mend()
		l.cut()
		running.Wait()
	})
	return l
}

// Passed is how many bytes have passed, both ways.
func (l *Line) Passed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed
}

// After does the harm when so many more bytes have passed; with none at once, if any has.
func (l *Line) After(n int64, h LineHarm) {
	l.mu.Lock()
	l.harm, l.limit = h, l.passed+n
	l.mu.Unlock()
	if n == 0 {
		l.pass(0)
	}
}

// Mend makes the line as good as new.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.down, l.dead = 0, false, nil
	close(l.mended)
	l.mended = make(chan struct{})
}

func (l *Line) run(listener net.Listener, running *sync.WaitGroup) {
	for {
		here, err := listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		down := l.down
		l.mu.Unlock()
		if down {
			here.Close()
			continue
		}
		there, err := net.Dial("tcp", l.to)
		if err != nil {
			here.Close()
			continue
		}
		l.mu.Lock()
		l.conns[here], l.conns[there] = true, true
		l.mu.Unlock()
		running.Go(func() { l.copy(here, there) })
		running.Go(func() { l.copy(there, here) })
	}
}

func (l *Line) copy(from, to net.Conn) {
	defer l.forget(from, to)
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.pass(n) {
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// pass counts n bytes, and says whether they may go on; if they are to wait it waits.
func (l *Line) pass(n int) bool {
	l.mu.Lock()
	l.passed += int64(n)
	hit := l.limit > 0 && l.passed >= l.limit
	if hit {
		l.limit = 0
		if l.harm == Silence {
			l.dead = l.mended
		} else {
			l.down = l.harm == Down
		}
	}
	dead, harm := l.dead, l.harm
	l.mu.Unlock()
	if hit && harm != Silence {
		l.cut()
		return false
	}
	if dead != nil && n > 0 {
		<-dead
		return false // what was held back comes no more
	}
	return true
}

func (l *Line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
}

func (l *Line) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(l.conns, c)
	}
}
