package serve

import (
	"context"
	"sync"
	"time"

	"github.com/grigri/grigri/charm"
	"github.com/grigri/grigri/hooks"
	"github.com/grigri/grigri/hooks/wire"
	"github.com/grigri/grigri/state"
)

// A Config is one hook that is about to run: what its tools may know and change.
type Config struct {
	Hook   hooks.Hook
	Unit   state.UnitName
	Model  state.ModelID
	Charm  charm.Charm
	Reader hooks.Reader
	Writer hooks.Writer
	Now    func() time.Time // nil: time.Now

	RebootNow func() // kills the hook, which runs again when the machine has started again; nil: that cannot be
}

// A Session is one running hook, from Begin to End. What the hook asks for is gathered here and nowhere else.
type Session struct {
	Config
	token string
	read  *answers
	leave func()

	turn  chan struct{} // holds one value while a tool is being answered: one at a time
	ended chan struct{}

	mu     sync.Mutex
	over   bool
	secret []string           // what Mask hides
	cut    context.CancelFunc // cuts off the tool whose turn it is

	// These belong to the tool whose turn it is.
	effects hooks.Effects
	sizes   map[any]int // of the nodes that the effects write
	began   time.Time
	values  map[state.SecretID]state.SecretContent // in clear, that the hook has set: nowhere else, and gone with the session
	fresh   map[state.SecretID]bool                // those that the hook reads as it has set them
}

// NewSession is a session without a server: whoever makes it answers its tools with Do.
func NewSession(c Config, token string) *Session {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Session{
		Config: c,
		token:  token,
		read:   newAnswers(c.Reader),
		leave:  func() {},
		turn:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
		cut:    func() {},
		sizes:  map[any]int{},
		began:  c.Now(),
		values: map[state.SecretID]state.SecretContent{},
		fresh:  map[state.SecretID]bool{},
	}
}

// Token is what tools must show: the hook's JUJU_CONTEXT_ID.
func (s *Session) Token() string { return s.token }

// End ends the session and returns what the hook has asked for. A tool that is still being answered, by a
// process that the hook has left behind, is cut off. Calls after it get an error. End may be called again.
func (s *Session) End() hooks.Effects {
	s.mu.Lock()
	first := !s.over
	s.over = true
	s.cut()
	s.mu.Unlock()
	if first {
		s.leave()
		close(s.ended)
		s.turn <- struct{}{} // for ever
	}
	return s.effects
}

// Do answers one request when its turn comes.
func (s *Session) Do(ctx context.Context, req wire.Request) wire.Response {
	select {
	case s.turn <- struct{}{}:
	case <-s.ended:
		return wrongToken(req.Token)
	case <-ctx.Done():
		return failure(1, context.Cause(ctx))
	}
	defer func() { <-s.turn }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !s.begin(cancel) {
		return wrongToken(req.Token)
	}
	return s.call(ctx, req)
}

// begin lets End cut off the tool whose turn it is. It is too late when the session has ended.
func (s *Session) begin(cut context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
	return !s.over
}
