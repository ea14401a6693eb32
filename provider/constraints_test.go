package provider

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const everything = "arch=arm64 container=lxd cores=4 cpu-power=100 mem=1024M root-disk=8192M root-disk-source=pool tags=a,^b " +
	"instance-role=auto instance-type=m5.large spaces=dmz,^db virt-type=virtual-machine zones=a,b allocate-public-ip=true image-id=ami-1 ip-family=dual"

func TestConstraints(t *testing.T) {
	for _, test := range []struct{ text, str, json string }{
		{"", "", "{}"},
		{"mem=1G cores=4", "cores=4 mem=1024M", `{"cores":4,"mem":1024}`},
		{" mem=512 \n root-disk=0.5T", "mem=512M root-disk=524288M", `{"mem":512,"root-disk":524288}`},
		{"mem=1.1M", "mem=2M", `{"mem":2}`},
		{"mem=1P", "mem=1073741824M", `{"mem":1073741824}`},
		{"cpu-cores=2", "cores=2", `{"cores":2}`},
		{"arch=x86_64", "arch=amd64", `{"arch":"amd64"}`},
		{"mem= cores=0 arch= tags= allocate-public-ip=0", "arch= cores= mem= tags= allocate-public-ip=false",
			`{"arch":"","cores":0,"mem":0,"tags":[],"allocate-public-ip":false}`},
		{"image-id=a=b", "image-id=a=b", `{"image-id":"a=b"}`},
		{everything, everything, `{"arch":"arm64","container":"lxd","cores":4,"cpu-power":100,"mem":1024,"root-disk":8192,"root-disk-source":"pool",` +
			`"tags":["a","^b"],"instance-role":"auto","instance-type":"m5.large","spaces":["dmz","^db"],"virt-type":"virtual-machine","zones":["a","b"],` +
			`"allocate-public-ip":true,"image-id":"ami-1","ip-family":"dual"}`},
	} {
		c, err := ParseConstraints(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		data, _ := json.Marshal(c)
		if c.String() != test.str || string(data) != test.json || c.IsZero() != (test.str == "") {
			t.Errorf("%q:\ngot  %s %s\nwant %s %s", test.text, c, data, test.str, test.json)
		}
		var back Constraints
		if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%q: %s came back as %s, %v", test.text, data, back, err)
		}
	}
}

func TestConstraintsInvalid(t *testing.T) {
	for text, want := range map[string]string{
		"speed=1":                      `unknown constraint "speed"`,
		"MEM=1":                        `unknown constraint "MEM"`,
		"mem":                          `malformed constraint "mem", expected key=value`,
		"=1":                           `malformed constraint "=1", expected key=value`,
		"mem=1G mem=2G":                `bad "mem" constraint: already set`,
		"cores=1 cpu-cores=2":          `bad "cores" constraint: already set`,
		"mem=lots":                     `bad "mem" constraint: must be a non-negative number with an optional M, G, T or P after it, got "lots"`,
		"mem=-1G":                      `bad "mem" constraint: must be a non-negative number with an optional M, G, T or P after it, got "-1G"`,
		"mem=G":                        `bad "mem" constraint: must be a non-negative number`,
		"mem=1e9":                      `bad "mem" constraint: must be`,
		"mem=Inf":                      `bad "mem" constraint: must be`,
		"mem=99999999999999999999999P": `bad "mem" constraint: must be`,
		"cores=2.5":                    `bad "cores" constraint: must be a non-negative integer, got "2.5"`,
		"cores=-1":                     `bad "cores" constraint: must be a non-negative integer, got "-1"`,
		"cores=9999999999":             `bad "cores" constraint: must be a non-negative integer`,
		"arch=vax":                     `bad "arch" constraint: "vax" not recognized, expected one of amd64, arm64,`,
		"container=docker":             `bad "container" constraint: "docker" not recognized, expected one of none, lxd`,
		"ip-family=5":                  `bad "ip-family" constraint: "5" not recognized`,
		"allocate-public-ip=sometimes": `bad "allocate-public-ip" constraint: must be 'true' or 'false', got "sometimes"`,
	} {
		if c, err := ParseConstraints(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %s, %v, want %s", text, c, err, want)
		}
	}
}

func TestMerge(t *testing.T) {
	for _, test := range []struct{ model, app, want string }{
		{"", "", ""},
		{"mem=1G arch=amd64", "", "arch=amd64 mem=1024M"},
		{"mem=1G arch=amd64", "mem=2G cores=2", "arch=amd64 cores=2 mem=2048M"},
		{"mem=1G tags=a,b", "mem= tags=", "mem= tags="},
		{"mem=1G cores=2 zones=a", "instance-type=big", "instance-type=big zones=a"},
		{"mem=1G", "instance-type=", "mem=1024M instance-type="},
		{"instance-type=big arch=amd64", "mem=1G", "arch=amd64 mem=1024M"},
		{everything, "ip-family=ipv4", strings.Replace(everything, "dual", "ipv4", 1)},
		{"", everything, everything},
	} {
		model, err := ParseConstraints(test.model)
		if err != nil {
			t.Fatal(err)
		}
		app, err := ParseConstraints(test.app)
		if err != nil {
			t.Fatal(err)
		}
		if got := Merge(model, app).String(); got != test.want {
			t.Errorf("%q over %q: got %s, want %s", test.app, test.model, got, test.want)
		}
		if model.String() != must(t, test.model).String() {
			t.Errorf("%q was changed to %s", test.model, model)
		}
	}
}

func must(t *testing.T, text string) Constraints {
	c, err := ParseConstraints(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is given wins, and what is not given is the model's: for each key alone.
func TestMergeProperty(t *testing.T) {
	words := strings.Fields(everything)
	rapid.Check(t, func(t *rapid.T) {
		pick := func(label string) (Constraints, map[string]bool) {
			var terms []string
			keys := map[string]bool{}
			for _, w := range words {
				if key, _, _ := strings.Cut(w, "="); key != "instance-type" && rapid.Bool().Draw(t, label+" "+key) {
					terms, keys[key] = append(terms, w), true
				}
			}
			c, err := ParseConstraints(strings.Join(terms, " "))
			if err != nil {
				t.Fatal(err)
			}
			return c, keys
		}
		model, inModel := pick("model")
		app, inApp := pick("app")
		merged := strings.Fields(Merge(model, app).String())
		for _, term := range merged {
			if key, _, _ := strings.Cut(term, "="); !inModel[key] && !inApp[key] {
				t.Fatalf("%s was not asked for", key)
			}
			delete(inModel, term[:strings.Index(term, "=")])
			delete(inApp, term[:strings.Index(term, "=")])
		}
		if len(inModel)+len(inApp) > 0 {
			t.Fatalf("%v %v got lost", inModel, inApp)
		}
	})
}

func FuzzParseConstraints(f *testing.F) {
	for _, text := range []string{"", everything, "mem=0.5G", "mem=", "tags=,,a", "a", "=", "mem=1.1.1", "mem=.", "cores=007"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConstraints(text)
		if err != nil {
			return
		}
		again, err := ParseConstraints(c.String())
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q is %s, which is %s, %v", text, c, again, err)
		}
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back Constraints
		if err := json.Unmarshal(data, &back); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	})
}
