package sshhost_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/grigri/grigri/internal/sshhost"
	"github.com/grigri/grigri/internal/sshtest"
	"github.com/grigri/grigri/internal/wiretest"
	"github.com/grigri/grigri/provider"
)

// Three users beside root: one who may do anything, one who must give his password, and one who may not.
const users = `
for u in free asked barred; do
	useradd -m -s /bin/bash $u
	echo "$u:pass of $u" | chpasswd
	mkdir -p /home/$u/.ssh
	cp /root/.ssh/authorized_keys /home/$u/.ssh/
	chown -R $u /home/$u/.ssh
done
echo "free ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/test
echo "asked ALL=(ALL) ALL" >>/etc/sudoers.d/test
`

func config(h *sshtest.Host, user string) sshhost.Config {
	return sshhost.Config{Target: sshhost.Target{User: user, Host: h.Address, Port: h.Port}, HostKey: h.HostKey, KeyFiles: []string{h.KeyFile}}
}

func dial(t *testing.T, c sshhost.Config) *sshhost.Host {
	t.Helper()
	h, err := sshhost.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func run(t *testing.T, h *sshhost.Host, script string) string {
	t.Helper()
	var out strings.Builder
	if err := h.Run(t.Context(), script, &out); err != nil {
		t.Fatalf("%s: %v: %s", script, err, &out)
	}
	return out.String()
}

// answers is somebody who is asked, and says each of these in turn.
func answers(t *testing.T, want string, say ...string) func(context.Context, string) (string, error) {
	return func(_ context.Context, prompt string) (string, error) {
		if !strings.Contains(prompt, want) {
			t.Errorf("asked %q, want %q in it", prompt, want)
		}
		if len(say) == 0 {
			return "", errors.New("asked too often")
		}
		s := say[0]
		say = say[1:]
		return s, nil
	}
}

func TestHost(t *testing.T) {
	host := sshtest.Start(t, sshtest.Config{Setup: users})

	t.Run("what runs is root, however we log in", func(t *testing.T) {
		asked := config(host, "asked")
		asked.Ask = answers(t, "[sudo] password of asked@", "wrong", "pass of asked")
		for _, c := range []sshhost.Config{config(host, "root"), config(host, "free"), asked} {
			h := dial(t, c)
			if got := run(t, h, "id -u; hostname; cat"); got != "0\n"+host.Name+"\n" {
				t.Errorf("%s: %q", c.User, got)
			}
			name := "/srv/" + c.User + "/it's a file"
			if err := h.Put(t.Context(), name, 0o640, strings.NewReader("pass of\x00\nbegin\n")); err != nil {
				t.Fatal(err)
			}
			if got := run(t, h, `cd /srv/`+c.User+`; stat -c "%n %a %U" *; cat *; ls -A | wc -l`); got != "it's a file 640 root\npass of\x00\nbegin\n1\n" {
				t.Errorf("%s: %q", c.User, got)
			}
		}
	})

	t.Run("who may not be root is told why", func(t *testing.T) {
		barred := config(host, "barred")
		barred.Ask = answers(t, "sudo", "pass of barred", "pass of barred", "pass of barred")
		if _, err := sshhost.Dial(t.Context(), barred); err == nil || !strings.Contains(err.Error(), "not in the sudoers file") && !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("got %v", err)
		}
		if _, err := sshhost.Dial(t.Context(), config(host, "asked")); err == nil || !strings.Contains(err.Error(), "sudo wants a password of asked, and there is nobody to ask") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("a password lets in", func(t *testing.T) {
		c := config(host, "free")
		c.KeyFiles, c.Ask = nil, answers(t, "Password of free@", "wrong", "pass of free")
		run(t, dial(t, c), "true")
		c.Ask = answers(t, "Password of free@", "1", "2", "3")
		if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), "log in as free: the host takes no key and no password that it was given: name a private key") {
			t.Errorf("got %v", err)
		}
		c.Ask = nil
		if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), "log in as free") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("a key with a passphrase, and one of an agent", func(t *testing.T) {
		c := config(host, "root")
		data, err := os.ReadFile(host.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParseRawPrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("open sesame"))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "locked")
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		c.KeyFiles = []string{file}
		if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), file+" has a passphrase") {
			t.Errorf("got %v", err)
		}
		c.Ask = answers(t, "Passphrase of "+file, "open sesame")
		run(t, dial(t, c), "true")
		c.Ask = answers(t, "Pass", "wrong", "x", "x", "x")
		if _, err := sshhost.Dial(t.Context(), c); err == nil {
			t.Error("a wrong passphrase opens the key")
		}
		c.KeyFiles, c.Ask, c.Agent = nil, nil, keyAgent(t, key)
		run(t, dial(t, c), "true")
	})

	t.Run("what a script says comes as it says it, and how it ends", func(t *testing.T) {
		h := dial(t, config(host, "free"))
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			ended <- h.Run(t.Context(), "echo one; echo two >&2; until [ -e /srv/go ]; do sleep 0.01; done; echo three; exit 7", w)
			w.Close()
		}()
		buf := make([]byte, len("one\ntwo\n"))
		if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "one\ntwo\n" {
			t.Fatalf("%q, %v", buf, err)
		}
		host.Run(t, "touch /srv/go")
		rest, _ := io.ReadAll(r)
		var exit *provider.ExitError
		if err := <-ended; string(rest) != "three\n" || !errors.As(err, &exit) || exit.Status != 7 {
			t.Errorf("%q, %v", rest, err)
		}
		if err := h.Run(t.Context(), "kill -KILL $$", io.Discard); err == nil || !strings.Contains(err.Error(), "signal KILL") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("a script that nobody waits for ends, and its daemon stays", func(t *testing.T) {
		h := dial(t, config(host, "free"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			ended <- h.Run(ctx, "setsid sleep 4711 >/dev/null 2>&1 </dev/null & sleep 4712 & until pgrep -fx 'sleep 4711'; do sleep 0.01; done; while :; do sleep 4713; done", w)
		}()
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wait(t, "the script is gone", func() bool { return host.Run(t, "pgrep -f 'sleep 471[23]' | grep -v $$ | wc -l") == "0" })
		if host.Run(t, "pgrep -fx 'sleep 4711' | wc -l; pkill -fx 'sleep 4711'") != "1" {
			t.Error("the daemon is gone too")
		}
		run(t, h, "true") // the connection is good for more
	})

	t.Run("secrets of a script are in no list of processes", func(t *testing.T) {
		h := dial(t, config(host, "root"))
		if got := run(t, h, "token='a se''cret'; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c '[a] secret' || true"); got != "0\n" {
			t.Errorf("it is there %s times", got)
		}
	})

	t.Run("a file is whole or not there", func(t *testing.T) {
		h := dial(t, config(host, "root"))
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		if err := h.Put(t.Context(), "/srv/whole/big", 0o600, bytes.NewReader(big)); err != nil {
			t.Fatal(err)
		}
		broken := io.MultiReader(bytes.NewReader(big), iotest.ErrReader(errors.New("the disk is bad")))
		if err := h.Put(t.Context(), "/srv/whole/big", 0o600, broken); err == nil || !strings.Contains(err.Error(), "the disk is bad") || !strings.Contains(err.Error(), "write /srv/whole/big on") {
			t.Errorf("got %v", err)
		}
		if err := h.Put(t.Context(), "/srv/whole/empty", 0o600, strings.NewReader("")); err != nil {
			t.Error(err)
		}
		if got := run(t, h, "cd /srv/whole; ls -A; stat -c %s *"); got != "big\nempty\n1048576\n0\n" {
			t.Errorf("%q", got)
		}
		if err := h.Put(t.Context(), "/proc/nothing/here", 0o600, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "write /proc/nothing/here") {
			t.Errorf("got %v", err)
		}
		if err := h.Put(t.Context(), "relative", 0o600, strings.NewReader("x")); err == nil {
			t.Error("a path that is not absolute was taken")
		}
	})

	t.Run("a host without sudo", func(t *testing.T) {
		host.Run(t, "mv /usr/bin/sudo /usr/bin/sudo.away")
		defer host.Run(t, "mv /usr/bin/sudo.away /usr/bin/sudo")
		if _, err := sshhost.Dial(t.Context(), config(host, "free")); err == nil || !strings.Contains(err.Error(), "free is not root, and there is no sudo") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHostKeys(t *testing.T) {
	host := sshtest.Start(t, sshtest.Config{})
	other := sshtest.Start(t, sshtest.Config{})
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "sub/ours")
	c := config(host, "root")
	c.HostKey, c.KnownHosts = "", []string{theirs, ours}

	if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("with nobody to ask: %v", err)
	}
	c.Trust = func(context.Context, sshhost.Fingerprint) error { return errors.New("no, thanks") }
	if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no, thanks") {
		t.Errorf("refused: %v", err)
	}
	if _, err := os.Stat(ours); err == nil {
		t.Error("a key that was refused is remembered")
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(host.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	var shown []sshhost.Fingerprint
	c.Trust = func(_ context.Context, f sshhost.Fingerprint) error { shown = append(shown, f); return nil }
	dial(t, c)
	dial(t, c)
	want := sshhost.Fingerprint{Host: fmt.Sprintf("[127.0.0.1]:%d", host.Port), Type: "ssh-ed25519", SHA256: ssh.FingerprintSHA256(key)}
	if len(shown) != 1 || shown[0] != want {
		t.Errorf("shown %v, want once %v", shown, want)
	}
	line, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(theirs, bytes.Replace(line, []byte(fmt.Sprint(host.Port)), []byte(fmt.Sprint(other.Port)), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	impostor := c
	impostor.Port = other.Port
	if _, err := sshhost.Dial(t.Context(), impostor); err == nil || !strings.Contains(err.Error(), "line 1 of "+theirs) || !strings.Contains(err.Error(), ssh.FingerprintSHA256(key)) {
		t.Errorf("another key than is known: %v", err)
	}
	for _, given := range []string{host.HostKey, ssh.FingerprintSHA256(key), host.HostKey + " somebody@somewhere\n"} {
		c := config(host, "root")
		c.HostKey = given
		dial(t, c)
		c.Port = other.Port
		if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), "must be SHA256:") {
			t.Errorf("another key than %s: %v", given, err)
		}
	}
	c = config(host, "root")
	c.HostKey = "MD5:00"
	if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), "is not a host's key") {
		t.Errorf("a key that is none: %v", err)
	}
}

func TestAHostThatIsGone(t *testing.T) {
	host := sshtest.Start(t, sshtest.Config{Network: true})
	c := config(host, "root")
	c.Patience = 2 * time.Second // enough for the first connection, on a machine with much to do
	h := dial(t, c)
	ended := make(chan error, 1)
	r, w := io.Pipe()
	go func() { ended <- h.Run(t.Context(), "echo on; sleep 1000", w) }()
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	host.Run(t, "ip link set eth0 down")
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
	if _, err := sshhost.Dial(t.Context(), c); err == nil {
		t.Error("a host whose network is down was reached")
	}
}

// A connection that has broken is made again without asking anybody.
func TestAConnectionIsMadeAgain(t *testing.T) {
	host := sshtest.Start(t, sshtest.Config{Setup: users})
	line := wiretest.StartLine(t, fmt.Sprintf("%s:%d", host.Address, host.Port))
	c := config(host, "asked")
	c.Port, c.KeyFiles, c.Ask = line.Port, nil, answers(t, "assword of asked@", "pass of asked", "pass of asked")
	h := dial(t, c)
	if err := h.Reconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	line.After(0, wiretest.CutLine)
	if err := h.Run(t.Context(), "true", io.Discard); err == nil || !strings.Contains(err.Error(), "the connection is broken") {
		t.Errorf("over a line that is cut: %v", err)
	}
	if err := h.Reconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := run(t, h, "id -u"); got != "0\n" {
		t.Errorf("it is %q", got)
	}
	line.After(0, wiretest.Down)
	if err := h.Reconnect(t.Context()); err == nil || !strings.Contains(err.Error(), "connect to "+c.Target.String()+" again") {
		t.Errorf("over a line that is down: %v", err)
	}
}

// Wherever a line is cut while a command is begun, runs and ends, the connection is what has broken; nothing is said of the host.
func TestALineThatIsCut(t *testing.T) {
	host := sshtest.Start(t, sshtest.Config{})
	line := wiretest.StartLine(t, fmt.Sprintf("%s:%d", host.Address, host.Port))
	c := config(host, "root")
	c.Port = line.Port
	cut := 0
	for n := int64(1); ; n += 24 {
		h := dial(t, c)
		line.After(n, wiretest.CutLine)
		err := h.Run(t.Context(), "true", io.Discard)
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "the connection is broken") {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
		cut++
		line.Mend()
	}
	if cut < 5 {
		t.Errorf("it was cut in %d places", cut)
	}
}

// A host may take a connection and allow no command.
func TestAHostThatStartsNoCommand(t *testing.T) {
	host := sshtest.Start(t, sshtest.Config{Setup: "echo 'MaxSessions 0' >> /run/sshd/config"})
	if _, err := sshhost.Dial(t.Context(), config(host, "root")); err == nil || !strings.Contains(err.Error(), "the host starts no command") {
		t.Errorf("got %v", err)
	}
}

// A host that takes the connection and says nothing is given up, and so is one when the user does.
func TestAHostThatSaysNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := sshhost.Config{Target: sshhost.Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, Patience: 100 * time.Millisecond}
	if _, err := sshhost.Dial(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the host does not answer") {
		t.Errorf("got %v", err)
	}
	c.Patience = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := sshhost.Dial(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestTarget(t *testing.T) {
	for text, want := range map[string]sshhost.Target{
		"h":                   {Host: "h"},
		"u@h":                 {User: "u", Host: "h"},
		"u@h:2222":            {User: "u", Host: "h", Port: 2222},
		"10.0.0.1":            {Host: "10.0.0.1"},
		"fd00::1":             {Host: "fd00::1"},
		"u@[fd00::1]":         {User: "u", Host: "fd00::1"},
		"u@[fd00::1]:22":      {User: "u", Host: "fd00::1", Port: 22},
		"u@corp.example@host": {User: "u@corp.example", Host: "host"},
	} {
		got, err := sshhost.ParseTarget(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := sshhost.ParseTarget(got.String()); err != nil || again.HostPort() != got.HostPort() || again.User != got.User {
			t.Errorf("%q is written %q, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "@h", "u@", "h:", "h:0", "h:70000", "h:x", "u@h:22:23:", "h/x", "-oProxyCommand=x", "u@-h", "a b", "[::1", "h;x"} {
		if got, err := sshhost.ParseTarget(text); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

// keyAgent is an ssh agent that has the key.
func keyAgent(t *testing.T, key any) string {
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "agent") // its path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, conn)
		}
	}()
	return l.Addr().String()
}
