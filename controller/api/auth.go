package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

var (
	errWho       = &userapi.Error{Code: userapi.Unauthorized, Message: "invalid user name or password"}
	errMachine   = &userapi.Error{Code: userapi.Unauthorized, Message: "only a machine of the model may ask for this, with its certificate"}
	errForbidden = &userapi.Error{Code: userapi.Forbidden, Message: "permission denied: only a superuser may do this"}
)

// admit finds out who makes the request and about which model, and says whether he may.
func (s *Server) admit(ctx context.Context, q *request, access Access) error {
	switch access {
	case Open:
		return nil
	case Machine:
		return s.admitMachine(ctx, q)
	case Reader, Writer, Admin:
		if err := s.admitUser(ctx, q); err != nil {
			return err
		}
		if access == Admin && !q.user.Superior {
			return errForbidden
		}
		if name := q.PathValue("model"); name != "" {
			model, err := s.findModel(ctx, q.user, name)
			q.model = model
			return err
		}
		return nil
	}
	return errForbidden
}

// admitMachine believes a certificate for as long as its machine is there, and only that of the key that has enrolled.
func (s *Server) admitMachine(ctx context.Context, q *request) error {
	if q.TLS == nil || len(q.TLS.PeerCertificates) == 0 {
		return errMachine
	}
	leaf := q.TLS.PeerCertificates[0]
	m, id, ok := pki.ParseMachine(leaf)
	if !ok {
		return errMachine
	}
	enrolment, err := state.ReadIf[state.Enrolment](ctx, s.Store, m.EnrolPath(id))
	if err != nil {
		return err
	}
	if !enrolment.Exists() {
		machine, err := state.ReadIf[state.Machine](ctx, s.Store, m.MachinePath(id))
		if err != nil {
			return err
		}
		if !machine.Exists() {
			return errMachine
		}
	} else if key := enrolment.Value.KeyHash; key != "" && !same(key, hexSum(leaf.RawSubjectPublicKeyInfo)) {
		return errMachine
	}
	q.machineOf, q.machine = m, id
	return nil
}

// admitUser checks HTTP Basic, or a bearer token that is user:password.
func (s *Server) admitUser(ctx context.Context, q *request) error {
	name, password, ok := q.BasicAuth()
	if token, bearer := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer "); bearer {
		name, password, ok = strings.Cut(token, ":")
	}
	if !ok || name == "" || strings.ContainsAny(name, "/\x00") || name[0] == '.' {
		return errWho
	}
	user, err := state.ReadIf[state.User](ctx, s.Store, state.UserPath(name))
	if err != nil {
		return fmt.Errorf("look for user %s: %w", name, err)
	}
	if !s.users.check(user.Value.Hash, password, s.Now()) || !user.Exists() {
		return errWho
	}
	q.user = user.Value
	return nil
}

// verified remembers which passwords bcrypt has found right, because asking it takes long by design.
type verified struct {
	mu    sync.Mutex // guards until
	until map[string]time.Time
	slow  sync.Mutex // one bcrypt at a time: guessing passwords must not take the controller's time
}

// The limits of what is remembered.
const (
	rememberFor = 10 * time.Minute
	rememberMax = 1000
)

// noHash takes as long to check as any.
const noHash = "$2a$10$7EqJtq98hPqEX7fNZaFWoO5f0KXj8eKQ3b1vQmJhTtPDuVhG1Cq2e"

func (v *verified) check(hash, password string, now time.Time) bool {
	key := hexSum([]byte(hash + "\x00" + password))
	v.mu.Lock()
	until, ok := v.until[key]
	v.mu.Unlock()
	if ok && now.Before(until) {
		return true
	}
	if hash == "" {
		hash = noHash
	}
	v.slow.Lock()
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	v.slow.Unlock()
	if err != nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.until == nil || len(v.until) >= rememberMax {
		v.until = map[string]time.Time{}
	}
	v.until[key] = now.Add(rememberFor)
	return true
}

func hexSum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// same compares secrets in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// findModel is the model that the user means: by UUID, by a beginning of it, by name, or by owner/name.
// A model that he may not see is not there.
func (s *Server) findModel(ctx context.Context, user state.User, name string) (state.Model, error) {
	may := func(m state.Model) bool { return user.Superior || m.Owner == user.Name }
	owner, short, qualified := strings.Cut(name, "/")
	if !qualified {
		owner, short = user.Name, name
	}
	if len(name) == 36 && !qualified {
		m, err := s.readModel(ctx, state.ModelID(name))
		if err != nil || m != nil && may(*m) {
			return deref(m), err
		}
	}
	if !strings.ContainsAny(owner+short, "/\x00") && short != "" && owner != "" {
		id, err := state.ReadIf[state.ModelID](ctx, s.Store, state.ModelNamePath(owner, short))
		if err != nil {
			return state.Model{}, err
		}
		if id.Exists() {
			m, err := s.readModel(ctx, id.Value)
			if err != nil || m != nil && may(*m) {
				return deref(m), err
			}
		}
	}
	if isPrefix(name) {
		m, err := s.modelByPrefix(ctx, name)
		if err != nil || m != nil && may(*m) {
			return deref(m), err
		}
	}
	return state.Model{}, notFound("model", name)
}

func isPrefix(name string) bool {
	return len(name) >= 6 && strings.Trim(name, "0123456789abcdef-") == ""
}

func (s *Server) modelByPrefix(ctx context.Context, prefix string) (*state.Model, error) {
	names, err := s.Store.Children(ctx, state.ModelsPath)
	if err != nil {
		return nil, err
	}
	found := ""
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			if found != "" {
				return nil, invalid(fmt.Sprintf("%q begins the UUID of more than one model", prefix))
			}
			found = n
		}
	}
	if found == "" {
		return nil, nil
	}
	return s.readModel(ctx, state.ModelID(found))
}

func (s *Server) readModel(ctx context.Context, m state.ModelID) (*state.Model, error) {
	rec, err := state.ReadIf[state.Model](ctx, s.Store, m.Path())
	if err != nil || !rec.Exists() {
		return nil, err
	}
	return &rec.Value, nil
}

func deref(m *state.Model) state.Model {
	if m == nil {
		return state.Model{}
	}
	return *m
}

// TLS is how the API is served: machines show a certificate, users do not. The identity is a controller's.
func TLS(id pki.Identity) (*tls.Config, error) {
	conf, err := id.ServerTLS()
	if err != nil {
		return nil, err
	}
	conf.ClientAuth = tls.VerifyClientCertIfGiven
	return conf, nil
}
