package zk

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A mode is what a proxy does with what it is given.
type mode int

const (
	passing mode = iota
	frozen       // connections stay, nothing passes
	mute         // what the server says is lost
	cut          // connections break, new ones are refused
)

// A proxy stands between clients and the server, and fails on command.
type proxy struct {
	addr   string
	sent   atomic.Int64 // bytes that have passed to the server
	target string
	l      net.Listener
	wg     sync.WaitGroup

	mu     sync.Mutex
	change *sync.Cond
	mode   mode
	closed bool
	conns  map[net.Conn]bool
}

func newProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), target: target, l: l, conns: map[net.Conn]bool{}}
	p.change = sync.NewCond(&p.mu)
	p.wg.Add(1)
	go p.accept()
	tb.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.set(cut)
		p.wg.Wait()
	})
	return p
}

// set changes the mode. A cut breaks what there is.
func (p *proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	p.change.Broadcast()
	if m == cut {
		p.breakAll()
	}
}

func (p *proxy) breakAll() {
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) accept() {
	defer p.wg.Done()
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.target)
		p.mu.Lock()
		if err != nil || p.mode == cut {
			c.Close()
			if s != nil {
				s.Close()
			}
		} else {
			p.conns[c], p.conns[s] = true, true
			p.wg.Add(2)
			go p.pump(s, c, true)
			go p.pump(c, s, false)
		}
		p.mu.Unlock()
	}
}

func (p *proxy) pump(to, from net.Conn, toServer bool) {
	defer p.wg.Done()
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.mode == frozen && p.conns[from] {
			p.change.Wait()
		}
		drop := p.mode == mute && !toServer
		p.mu.Unlock()
		if drop {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		if toServer {
			p.sent.Add(int64(n))
		}
	}
}
