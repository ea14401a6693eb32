package install

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const good = `arch x86_64
now 1000000000
disk 8000000
memory 2000000
address 10.0.0.5
address 127.0.0.1
address fe80::1
address 10.0.0.5
address 192.0.2.7
java yes
zookeeper yes
apt yes
`

func TestWhatWillNotDo(t *testing.T) {
	c := Config{Arch: "amd64", Now: func() time.Time { return time.Unix(1e9, 0) }}
	for name, test := range map[string]struct{ old, new, want string }{
		"all is well":             {"", "", ""},
		"another controller":      {"apt yes", "controller yes", "there is a controller in /var/lib/grigri/controller already"},
		"an interrupted one":      {"apt yes", "begun yes", "remove /var/lib/grigri and /usr/local/lib/grigri"},
		"another's machine":       {"apt yes", "residue /var/lib/juju\nresidue /var/log/juju", "there is something in /var/lib/juju and in /var/log/juju"},
		"another processor":       {"x86_64", "aarch64", "its processor is arm64 and the programs are for amd64"},
		"a clock that is late":    {"now 1000000000", "now 999999000", "its clock is off by -16m40s"},
		"a clock that is early":   {"now 1000000000", "now 1000001000", "timedatectl set-ntp true"},
		"a full disk":             {"disk 8000000", "disk 80000", "it has 78 MiB free on its disk and needs 1024"},
		"little memory":           {"memory 2000000", "memory 20000", "it has 19 MiB of memory free and needs 384"},
		"no java, but apt":        {"java yes", "", ""},
		"no zookeeper and no apt": {"zookeeper yes\napt yes", "", "no apt to install them with"},
		"what it does not say":    {"disk 8000000\nmemory 2000000\n", "", ""},
	} {
		f := parse(strings.Replace(good, test.old, test.new, 1))
		err := f.refuse(c)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestTheAddressOfTheMachine(t *testing.T) {
	f := parse(good)
	if got := fmt.Sprint(f.Addresses); got != "[10.0.0.5 192.0.2.7]" {
		t.Fatalf("its addresses: %s", got)
	}
	for known, want := range map[string]string{"": "10.0.0.5", "192.0.2.7": "192.0.2.7", "203.0.113.1": "10.0.0.5", "203.0.113.1 192.0.2.7": "192.0.2.7"} {
		if got := f.own(strings.Fields(known)); got != want {
			t.Errorf("known as %q: %s, want %s", known, got, want)
		}
	}
	if got := (facts{}).own([]string{"192.0.2.1"}); got != "" {
		t.Errorf("a machine without addresses has %s", got)
	}
}

func TestStepErrors(t *testing.T) {
	var said []string
	for i := range 30 {
		said = append(said, fmt.Sprint("line ", i))
	}
	err := &StepError{Step: "make the controller", Err: fmt.Errorf("exit status 1"), Said: last(strings.Join(said, "\n"))}
	if text := err.Error(); !strings.HasPrefix(text, "make the controller: exit status 1; it said last:\nline 10\n") || !strings.HasSuffix(text, "line 29") {
		t.Errorf("got %s", text)
	}
}
