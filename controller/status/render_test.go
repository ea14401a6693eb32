package status_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grigri/grigri/controller/status"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file; blanks at the ends of lines are not in it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	got = regexp.MustCompile(` +\n`).ReplaceAll(got, []byte("\n"))
	path := "testdata/" + file
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func report() status.Report {
	r := status.Build(sample(), now)
	r.Status = r.Status.In(time.UTC, false)
	return r
}

func TestTabular(t *testing.T) {
	var b bytes.Buffer
	if err := status.WriteTabular(&b, report(), status.TabularOptions{Relations: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "tabular.txt", b.Bytes())
	width := 0
	for _, section := range strings.Split(b.String(), "\n\n") {
		for i, line := range strings.Split(strings.TrimSuffix(section, "\n"), "\n") {
			if i == 0 {
				width = len([]rune(line))
			} else if len([]rune(line)) != width {
				t.Errorf("a cell is not padded: %q", line)
			}
		}
	}
	b.Reset()
	if err := status.WriteTabular(&b, report(), status.TabularOptions{}); err != nil || strings.Contains(b.String(), "Requirer") {
		t.Errorf("relations without the flag, %v", err)
	}
}

func TestColorChangesNothingElse(t *testing.T) {
	var plain, color bytes.Buffer
	if err := status.WriteTabular(&plain, report(), status.TabularOptions{Relations: true}); err != nil {
		t.Fatal(err)
	}
	if err := status.WriteTabular(&color, report(), status.TabularOptions{Relations: true, Color: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(color.String(), "\x1b[31mblocked\x1b[0m") {
		t.Error("blocked is not red")
	}
	if got := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(color.String(), ""); got != plain.String() {
		t.Errorf("without its colours it is\n%s", got)
	}
}

func TestOtherFormats(t *testing.T) {
	var b bytes.Buffer
	if err := status.WriteOneline(&b, report().Status); err != nil {
		t.Fatal(err)
	}
	golden(t, "oneline.txt", b.Bytes())
	b.Reset()
	if err := status.WriteSummary(&b, report().Status); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.txt", b.Bytes())
	b.Reset()
	if err := status.WriteMachines(&b, report().Status, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "machines.txt", b.Bytes())
	data, err := json.MarshalIndent(report().Status, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", append(data, '\n'))
	if regexp.MustCompile(`:\s*null`).Match(data) {
		t.Error("there is a null")
	}
	empty := status.Build(status.Snapshot{}, now)
	if data, _ = json.Marshal(empty.Status); !strings.Contains(string(data), `"machines":{},"applications":{},"storage":{}`) || !empty.Empty {
		t.Errorf("the status of nothing is %s", data)
	}
}

func TestTimes(t *testing.T) {
	zone := time.FixedZone("", 3600)
	s := status.Build(sample(), now).Status
	for _, c := range []struct {
		utc              bool
		timestamp, since string
	}{
		{false, "10:30:12+01:00", "07 Mar 2026 10:29:12+01:00"},
		{true, "09:30:12", "2026-03-07 09:29:12Z"},
	} {
		shown := s.In(zone, c.utc)
		if got := shown.Controller.Timestamp; got != c.timestamp {
			t.Errorf("timestamp %s, want %s", got, c.timestamp)
		}
		if got := shown.Applications["testdb"].Units["testdb/0"].Workload.Since; got != c.since {
			t.Errorf("since %s, want %s", got, c.since)
		}
	}
	if s.Controller.Timestamp != "2026-03-07T09:30:12Z" || s.Applications["testdb"].Units["testdb/0"].Workload.Since != "2026-03-07T09:29:12Z" {
		t.Error("In has changed its receiver")
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	s := sample()
	u := s.Units["testdb/0"]
	u.Status.Workload.Message = strings.Repeat("é", 200) + "\nmore"
	u.Status.Agent.Status = "idle"
	var b bytes.Buffer
	if err := status.WriteTabular(&b, status.Build(s, now), status.TabularOptions{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), " "+strings.Repeat("é", 117)+"...") || strings.Contains(b.String(), "more") {
		t.Errorf("got\n%s", b.String())
	}
}
