package statuslog

import (
	"testing"

	"github.com/grigri/grigri/state"
)

func TestAnApplicationIsAsItsWorstUnitIsUntilItSpeaks(t *testing.T) {
	units := map[state.UnitName][]Entry{
		"web/0": entries(t, "juju-unit executing x @1", "workload maintenance a @2", "juju-unit error b @5", "juju-unit executing x @6", "juju-unit error b @7",
			"juju-unit executing x @8", "workload active c @8", "juju-unit idle @9", "workload terminated @20"),
		"web/1": entries(t, "workload waiting d @3", "workload active e @12", "workload blocked f @14", "workload active @15", "workload terminated @22"),
	}
	want := []string{"application unknown @1", "application maintenance a @2", "application error b @5", "application waiting d @9", "application active e @12",
		"application blocked f @14", "application active @15", "application unknown @22"}
	same(t, "silent", printed(ApplicationStory(nil, units)), want)
	own := entries(t, "application active all @13", "application blocked none @16")
	same(t, "from when on it speaks", printed(ApplicationStory(own, units)), append(want[:5:5], "application active all @13", "application blocked none @16"))
	same(t, "without units", printed(ApplicationStory(nil, nil)), nil)
}

func TestUnitsOfAnApplication(t *testing.T) {
	s := Open(Config{Dir: t.TempDir()})
	for _, tag := range []string{"unit-web-0", "unit-web-11", "unit-web-db-0", "application-web", "machine-0", "model"} {
		told, _ := parse(t, "workload active @1")
		told.Entity = tag
		if err := s.Add(model, "", told); err != nil {
			t.Fatal(err)
		}
	}
	units, err := s.Units(model, "web")
	if err != nil || len(units) != 2 || len(units["web/0"]) != 1 || len(units["web/11"]) != 1 {
		t.Errorf("units of web: %v, %v", units, err)
	}
	if units, err := s.Units("other", "web"); err != nil || len(units) > 0 {
		t.Errorf("units of another model: %v, %v", units, err)
	}
}
