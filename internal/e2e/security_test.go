package e2e

import (
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/grigri/grigri/agent/enroll"
	"github.com/grigri/grigri/controller"
	"github.com/grigri/grigri/internal/pki"
	"github.com/grigri/grigri/state"
)

// TestSecurity brings up a busy environment and tries what no one may do in it.
func TestSecurity(t *testing.T) {
	e := newEnvironment(t, "busy")
	e.must("deploy", examples+"store")
	e.must("deploy", examples+"web", "-n", "2")
	e.must("deploy", examples+"balancer")
	e.must("deploy", "./testdata/counter", "other", "-n", "2", "--config", "log="+e.data)
	e.must("deploy", "./testdata/counter", "another", "--config", "log="+e.data)
	e.must("integrate", "web", "store")
	e.must("integrate", "web", "balancer")
	e.must("integrate", "other:up", "another:down")
	e.share()
	e.settled(map[state.ApplicationName]int{"store": 1, "web": 2, "balancer": 1, "other": 2, "another": 1, "giver": 1, "taker": 1})
	e.must("exec", "--application", "other", "--", "leader-get")
	e.must("expose", "balancer")
	v := openVault(e)
	t.Run("no node is open to more than it should be", v.testACLs)
	t.Run("strangers are not answered", v.testStrangers)
	t.Run("a machine reaches only its own", v.testMachine)
	t.Run("no secret is told", v.testSecrets)
	t.Run("no value of a secret is kept in clear", v.testValues)
}

// A vault is an environment seen with its controller's secrets.
type vault struct {
	*environment
	secrets controller.Secrets
	server  string // of ZooKeeper
	tree    *zk.Conn
}

func openVault(e *environment) *vault {
	e.Helper()
	v := &vault{environment: e}
	var err error
	if v.secrets, err = controller.LoadSecrets(e.controllerFile()); err != nil {
		e.Fatal(err)
	}
	port, err := os.ReadFile(e.controllerFile("zookeeper", "port"))
	if err != nil {
		e.Fatal(err)
	}
	v.server = net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port)))
	id, err := v.secrets.Identity(time.Now())
	if err != nil {
		e.Fatal(err)
	}
	v.tree = v.connect(e.T, id)
	return v
}

// connect opens a plain session with the identity.
func (v *vault) connect(t *testing.T, id pki.Identity) *zk.Conn {
	t.Helper()
	conf, err := id.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, conf)
	}
	conn, events, err := zk.Connect([]string{v.server}, 20*time.Second, zk.WithDialer(dial), zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	for deadline := time.After(patience); ; {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return conn
			}
		case <-deadline:
			t.Fatal("no session with ZooKeeper")
		}
	}
}

// walk visits every node of ZooKeeper, ours or not.
func (v *vault) walk(t *testing.T, visit func(path string)) {
	t.Helper()
	for todo := []string{"/"}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		names, _, err := v.tree.Children(at)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			t.Fatalf("children of %s: %v", at, err)
		}
		visit(at)
		for _, n := range names {
			todo = append(todo, path.Join(at, n))
		}
	}
}

const chroot = "/grigri"

// ours is the path in our tree; ok is false for what is ZooKeeper's.
func ours(abs string) (p string, ok bool) {
	rest, ok := strings.CutPrefix(abs, chroot+"/")
	return "/" + rest, ok
}

func (v *vault) testACLs(t *testing.T) {
	nodes, seen := 0, []string(nil)
	v.walk(t, func(abs string) {
		have, _, err := v.tree.GetACL(abs)
		if errors.Is(err, zk.ErrNoNode) {
			return
		}
		if err != nil {
			t.Fatalf("access to %s: %v", abs, err)
		}
		var acl state.ACL
		if p, ok := ours(abs); ok {
			acl = state.ACLFor(p)
			seen = append(seen, p)
		}
		var got []string
		for _, a := range have {
			if a.Scheme == "world" || a.Scheme == "ip" || a.Scheme == "auth" {
				t.Errorf("%s is open to %s:%s", abs, a.Scheme, a.ID)
			}
			got = append(got, fmt.Sprintf("%s:%s=%d", a.Scheme, a.ID, a.Perms))
		}
		want := v.access(acl)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s is open to\n\t%v, and should be to\n\t%v", abs, got, want)
		}
		nodes++
	})
	for _, kind := range []string{"/models/*/applications/*/election/*", "/models/*/applications/*/leader", "/models/*/units/*/ledger/*/*", "/models/*/units/*/agent",
		"/models/*/units/*/tasks/*/result", "/models/*/machines/*/secrets", "/models/*/machines/*/report", "/models/*/relations/*/*/*", "/models/*/relations/*/*",
		"/models/*/charms/*", "/models/*/history/*", "/controllers/*/*", "/users/*"} {
		if !slices.ContainsFunc(seen, func(p string) bool { ok, _ := path.Match(kind, p); return ok }) {
			t.Errorf("the environment is not busy enough: there is no node like %s", kind)
		}
	}
	t.Logf("%d nodes", nodes)
}

// access is the ACL in ZooKeeper's words, by our own reckoning.
func (v *vault) access(acl state.ACL) []string {
	out := []string{fmt.Sprintf("x509:%s=%d", pki.ControllerName(), zk.PermAll)}
	perms := permissions(acl)
	for p, perm := range perms {
		id := "digest:" + string(p)
		if m, machine, ok := p.Machine(); ok {
			id = "x509:" + pki.MachineName(m, machine).String()
		} else {
			sum := sha1.Sum([]byte(string(p) + ":" + v.secrets.Key.Credential(p).Secret))
			id += ":" + base64.StdEncoding.EncodeToString(sum[:])
		}
		out = append(out, fmt.Sprintf("%s=%d", id, perm))
	}
	return out
}

func permissions(acl state.ACL) map[state.Principal]int32 {
	perms := map[state.Principal]int32{}
	for _, grant := range []struct {
		to   []state.Principal
		perm int32
	}{{acl.Read, zk.PermRead}, {acl.Write, zk.PermWrite}, {acl.Create, zk.PermCreate}, {acl.Delete, zk.PermDelete}} {
		for _, p := range grant.to {
			perms[p] |= grant.perm
		}
	}
	return perms
}

func (v *vault) testStrangers(t *testing.T) {
	id, err := v.secrets.Identity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	good, err := id.ClientTLS(pki.ZooKeeperHost)
	if err != nil {
		t.Fatal(err)
	}
	if answer := v.ask(good); !strings.HasPrefix(answer, "Zookeeper version") {
		t.Fatalf("a controller is answered %q", answer)
	}
	nameless := good.Clone()
	nameless.Certificates, nameless.GetClientCertificate = nil, nil
	foreign, err := pki.NewAuthority("grigri e2e", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	fake, err := foreign.Identity(pki.Request{Subject: pki.ControllerName(), Use: pki.Client, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(fake.Certificate, fake.Key)
	if err != nil {
		t.Fatal(err)
	}
	forged := nameless.Clone() // it shows its certificate, whomever the server says it trusts
	forged.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	for name, conf := range map[string]*tls.Config{"without TLS": nil, "without a certificate": nameless, "with a certificate of another authority": forged} {
		if answer := v.ask(conf); answer != "" {
			t.Errorf("a client %s is answered %q", name, answer)
		}
	}
}

// ask is what ZooKeeper says to a client that asks for its version; empty when it does not say anything.
func (v *vault) ask(conf *tls.Config) string {
	conn, err := net.Dial("tcp", v.server)
	if err != nil {
		return ""
	}
	defer conn.Close()
	if conf != nil {
		conn = tls.Client(conn, conf)
	}
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second)) // it may wait for a hello that never comes
	if _, err := conn.Write([]byte("srvr")); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	if conf == nil && len(answer) > 0 && answer[0] == 21 { // a TLS alert
		return ""
	}
	return string(answer)
}

// testMachine tries everything everywhere with all that the machine of web/0 knows.
func (v *vault) testMachine(t *testing.T) {
	st, err := v.status()
	if err != nil {
		t.Fatal(err)
	}
	id := st.Applications["web"].Units["web/0"].Machine
	dirs, err := filepath.Glob(v.controllerFile("machines", "*-"+string(id), "data"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("directories of machine %s: %v, %v", id, dirs, err)
	}
	conf, err := enroll.Load(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	m := conf.Model
	conn := v.connect(t, conf.Identity())
	held := v.prove(t, conn, m, id)
	t.Logf("machine %s is %v", id, slices.Sorted(slices.Values(held)))

	granted, refused := map[string]int32{}, 0
	v.walk(t, func(abs string) {
		p, ok := ours(abs)
		var want int32
		if ok {
			for principal, perm := range permissions(state.ACLFor(p)) {
				if slices.Contains(held, principal) {
					want |= perm
				}
			}
		}
		got, err := v.try(conn, abs)
		if errors.Is(err, zk.ErrNoNode) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", abs, err)
		}
		if got != want {
			t.Errorf("the machine has the access %d to %s, and should have %d", got, abs, want)
		}
		if granted[p] = got; got == 0 {
			refused++
		}
		// Whatever the table says, this is not the machine's own.
		for _, not := range []string{m.ApplicationPath("other"), m.UnitPath("other/0"), m.UnitPath("another/0"), m.UnitPath("web/1"), m.CharmsPath(), m.HistoryPath(),
			m.OperationsPath(), m.SequencesPath(), state.UsersPath, state.ControllersPath} {
			if got != 0 && (p == not || strings.HasPrefix(p, not+"/")) {
				t.Errorf("the machine has the access %d to %s", got, p)
			}
		}
		if other := strings.HasPrefix(p, m.MachinesPath()+"/") && p != m.MachinePath(id) && !strings.HasPrefix(p, m.MachinePath(id)+"/"); got != 0 && other {
			t.Errorf("the machine has the access %d to another machine's %s", got, p)
		}
		if relation, ok := strings.CutPrefix(p, m.RelationsPath()+"/"); got != 0 && ok && (strings.Contains(relation, "/other") || strings.Contains(relation, "/another")) {
			t.Errorf("the machine has the access %d to %s", got, p)
		}
	})
	rel := v.relation(t, m, "web", "store")
	for p, want := range map[string]int32{
		m.MachinePath(id):                                    zk.PermRead | zk.PermCreate | zk.PermDelete,
		m.SecretsPath(id):                                    zk.PermRead,
		m.ApplicationPath("web"):                             zk.PermRead,
		m.LedgerPath("web/0"):                                zk.PermRead | zk.PermWrite | zk.PermCreate | zk.PermDelete,
		m.MemberPath(rel, "", "web/0"):                       zk.PermRead | zk.PermWrite,
		m.MemberPath(rel, "", "web/1"):                       zk.PermRead,
		m.MemberPath(rel, "", "store/0"):                     zk.PermRead,
		m.ChangesPath():                                      zk.PermCreate,
		m.ApplicationPath("store"):                           0,
		m.UnitPath("store/0"):                                0,
		m.ApplicationPath("other"):                           0,
		m.SecretsPath(id + "0"):                              0,
		m.ApplicationPath("balancer"):                        0,
		m.ElectionPath("other"):                              0,
		m.RelationPath(v.relation(t, m, "other", "another")): 0,
	} {
		if granted[p] != want {
			t.Errorf("the machine has the access %d to %s, want %d", granted[p], p, want)
		}
	}
	t.Logf("%d nodes are granted in some way, %d refused", len(granted)-refused, refused)
}

// prove shows ZooKeeper all that the machine can find out, starting with its certificate, and returns whom it then is.
func (v *vault) prove(t *testing.T, conn *zk.Conn, m state.ModelID, id state.MachineID) []state.Principal {
	t.Helper()
	held := []state.Principal{m.MachinePrincipal(id)}
	add := func(p state.Principal, secret string) {
		if err := conn.AddAuth("digest", []byte(string(p)+":"+secret)); err != nil {
			t.Fatal(err)
		}
		held = append(held, p)
	}
	secrets := read[state.MachineSecrets](t, conn, m.SecretsPath(id))
	for p, secret := range secrets {
		add(p, secret)
	}
	for _, u := range read[state.Machine](t, conn, m.MachinePath(id)).Units {
		for _, r := range read[state.Application](t, conn, m.ApplicationPath(u.Application())).Relations {
			add(m.RelationPrincipal(r.Relation), r.Secret)
		}
	}
	return held
}

func read[T any](t *testing.T, conn *zk.Conn, p string) (value T) {
	t.Helper()
	data, _, err := conn.Get(chroot + p)
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		t.Fatalf("read %s: %v", p, err)
	}
	return value
}

// relation is the one between the two applications.
func (v *vault) relation(t *testing.T, m state.ModelID, a, b string) state.RelationID {
	t.Helper()
	for _, r := range read[state.Application](t, v.tree, m.ApplicationPath(state.ApplicationName(a))).Relations {
		if r.Remote.Application == b {
			return r.Relation
		}
	}
	t.Fatalf("%s and %s are not related", a, b)
	return 0
}

// try finds out what the connection may do at a node, and leaves all as it was: what it writes and deletes has a version that no
// node has, and ZooKeeper looks at access first.
func (v *vault) try(conn *zk.Conn, abs string) (granted int32, err error) {
	const never = 1 << 30
	check := func(perm int32, err error, allowed ...error) error {
		switch {
		case errors.Is(err, zk.ErrNoAuth):
			return nil
		case err == nil || slices.ContainsFunc(allowed, func(a error) bool { return errors.Is(err, a) }):
			granted |= perm
			return nil
		}
		return err
	}
	if _, _, err = conn.Get(abs); check(zk.PermRead, err) != nil {
		return 0, err
	}
	if _, _, err = conn.Children(abs); check(zk.PermRead, err) != nil {
		return 0, err
	}
	if _, err = conn.Set(abs, []byte("mine"), never); check(zk.PermWrite, err, zk.ErrBadVersion) != nil {
		return 0, err
	}
	child := path.Join(abs, "intruder")
	_, err = conn.Create(child, nil, 0, zk.WorldACL(zk.PermAll))
	made := err == nil
	if check(zk.PermCreate, err, zk.ErrNoChildrenForEphemerals) != nil {
		return 0, err
	}
	err = conn.Delete(child, never) // the right to delete is the parent's
	if errors.Is(err, zk.ErrNoNode) {
		err = nil
	}
	if check(zk.PermDelete, err, zk.ErrBadVersion) != nil {
		return 0, err
	}
	if made { // not everyone who may make a child may delete it; and the leader may have, as it does with tickets
		if err := v.tree.Delete(child, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return 0, err
		}
	}
	return granted, nil
}

// testSecrets looks for the environment's secrets where they should not be.
func (v *vault) testSecrets(t *testing.T) {
	secrets := v.known(t)
	find := func(text []byte) (found []string) {
		for name, secret := range secrets {
			if bytes.Contains(text, secret) {
				found = append(found, name)
			}
		}
		return found
	}
	for _, args := range [][]string{{"status", "--relations"}, {"status", "--format", "yaml"}, {"status", "--format", "json"}, {"show-unit", "web/0"}, {"show-application", "web"},
		{"show-model"}, {"controllers", "--format", "json"}, {"show-controller"}, {"machines"}, {"debug-log", "--replay", "--no-tail", "--level", "TRACE"}} {
		out := v.must(args...)
		if len(out) < 20 {
			t.Errorf("%v prints only %q", args, out)
		}
		for _, name := range find([]byte(out)) {
			t.Errorf("%v prints %s", args, name)
		}
	}
	programs := map[string]bool{}
	for _, p := range v.processes() {
		programs[p.program()] = true
		for _, name := range find([]byte(strings.Join(p.args, "\x00"))) {
			t.Errorf("the command line of %s holds %s", p.program(), name)
		}
	}
	for _, want := range []string{"grigrid", "grigri-agent", "java"} {
		if !programs[want] {
			t.Errorf("no process %s was looked at", want)
		}
	}
	logs, holders := 0, map[string]bool{}
	err := filepath.WalkDir(v.data, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // a file may go meanwhile
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		log := strings.HasSuffix(name, ".log") || strings.Contains(strings.TrimPrefix(name, v.data), "/logs/")
		if log {
			logs++
		}
		for _, what := range find(data) {
			holders[what] = true
			if log {
				t.Errorf("the log %s holds %s", name, what)
			}
			if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 && !v.hidden(name) {
				t.Errorf("%s holds %s and has the mode %o", name, what, info.Mode().Perm())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if logs < 6 {
		t.Errorf("only %d logs were looked at", logs)
	}
	for _, what := range []string{"the admin's password", "the controllers' key", "the private key of authority.pem", "the secret of agents"} {
		if !holders[what] {
			t.Errorf("%s was found nowhere, not even where it is kept", what)
		}
	}
}

// hidden says whether a directory around the file, below the environment's own, keeps everyone else out.
func (v *vault) hidden(name string) bool {
	for dir := filepath.Dir(name); dir != v.controllerFile() && dir != v.data; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 == 0 {
			return true
		}
	}
	return false
}

// known is every secret of the environment, by what it is.
func (v *vault) known(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{"the controllers' key": v.secrets.Key}
	accounts, err := os.ReadFile(filepath.Join(v.data, "accounts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(accounts)) {
		if _, password, ok := strings.Cut(line, "password: "); ok {
			out["the admin's password"] = []byte(strings.Trim(strings.TrimSpace(password), `"'`))
		}
	}
	v.walk(t, func(abs string) {
		p, ok := ours(abs)
		if !ok {
			return
		}
		for _, principal := range state.ACLFor(p).Principals() {
			if _, _, machine := principal.Machine(); !machine {
				name := string(principal)
				if principal == state.Agents {
					name = "agents"
				}
				out["the secret of "+name] = []byte(v.secrets.Key.Credential(principal).Secret)
			}
		}
	})
	out["the secret of agents"] = []byte(v.secrets.Key.Credential(state.Agents).Secret)
	err = filepath.WalkDir(v.data, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		base := filepath.Base(name)
		data, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		switch {
		case base == "init.sh":
			for line := range strings.Lines(string(data)) {
				if token, ok := strings.CutPrefix(line, "token="); ok {
					out["the token in "+name] = []byte(strings.Trim(strings.TrimSpace(token), "'"))
				}
			}
		case bytes.Contains(data, []byte("PRIVATE KEY-----")):
			_, key, _ := bytes.Cut(data, []byte("PRIVATE KEY-----"))
			key = bytes.TrimLeft(key, "\\n\n")
			out["the private key of "+base] = slices.Clone(key[:40])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range out {
		if len(secret) < 8 {
			t.Fatalf("%s is %q: that is none", name, secret)
		}
	}
	t.Logf("%d secrets", len(out))
	return out
}
