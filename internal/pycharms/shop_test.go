package pycharms

import (
	"strings"
	"testing"

	"github.com/grigri/grigri/internal/version"
)

// One environment of all three generations: a database written with ops, a site written with charmhelpers, a shop written with
// charms.reactive, all related to one another.
func TestPublishedLibrariesRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	libs := Libraries(t)
	e := newEnvironment(t)
	database, site, shop := Assemble(t, libs, "opscharm"), Assemble(t, libs, "helperscharm"), Assemble(t, libs, "reactivecharm")

	e.must("deploy", database, "db", "-n", "2")
	e.must("deploy", database, "central", "--config", "region=north")
	e.must("deploy", site, "site", "-n", "2")
	e.must("deploy", shop, "shop")
	e.until("each waits for what it needs", all(at("db", 2, "blocked say where: config region"), at("central", 1, "active serving 0"),
		at("site", 2, "blocked needs a db"), at("shop", 1, "blocked no db")))

	if v := e.jujud(); len(v) != 6 || !strings.HasPrefix(v[0], version.Juju+"-") {
		e.Errorf("the machines' jujud: %q", v)
	}

	e.must("config", "site", "title=a: 'new' title")
	e.must("integrate", "db:db", "central:upstream")
	e.must("integrate", "site:db", "db:db")
	e.must("integrate", "shop:db", "db:db")
	e.must("integrate", "shop:web", "site:web")
	e.until("clients wait for a promise", all(at("db", 2, "blocked say where: config region"), at("site", 2, "active serving a: 'new' title"),
		at("shop", 1, "active open for EUR, with 2 hosts")))
	e.must("config", "db", "region=south", "port=5555", "comment=words")
	apps := e.until("deferred events are taken up again", at("db", 2, "active serving 4"))

	t.Run("ops", func(t *testing.T) { e := *e; e.T = t; e.ops(apps) })
	t.Run("charmhelpers", func(t *testing.T) { e := *e; e.T = t; e.helpers(apps) })
	t.Run("reactive", func(t *testing.T) { e := *e; e.T = t; e.reactive(apps) })

	_, gone := leads(apps["site"])
	stays, _ := leads(apps["site"])
	e.must("refresh", "db", "--path", changed(t, database))
	e.must("remove-unit", gone, "--no-prompt")
	apps = e.until("one site is gone", all(at("db", 2, "active serving 4"), at("site", 1, "active serving a: 'new' title")))
	leader, _ := leads(apps["db"])
	e.reports(leader, map[string]string{
		"events": "~upgrade_charm", "departed": `["` + gone + `"]`, "promised": "~copy-of-central"})
	e.reports(stays, map[string]string{"peers": "", "goal-units": stays})
	e.reports("shop/0", map[string]string{"gone": `["` + gone + `"]`, "titles": `{"` + stays + `": "a: 'new' title"}`})

	e.must("remove-relation", "shop:db", "db:db")
	e.until("the shop closes", at("shop", 1, "blocked no db"))
	e.must("remove-application", "site", "shop", "central", "db", "--no-prompt")
	e.until("everything goes in order", func(apps map[string]application) error {
		if len(apps) > 0 {
			return errNotYet
		}
		return nil
	})
	t.Run("secrets", func(t *testing.T) { e := *e; e.T = t; e.secrets(Assemble(t, libs, "secretcharm")) })
}

func (e *environment) ops(apps map[string]application) {
	leader, other := leads(apps["db"])
	db := apps["db"]
	if db.Version != "15.4" || db.Status != (status{"active", "led by " + leader}) {
		e.Errorf("the application is %v, version %s", db.Status, db.Version)
	}
	if got := strings.Join(db.Units[leader].Ports, " "); got != "5555/tcp 5433/udp" {
		e.Errorf("ports: %s", got)
	}
	for _, u := range []string{leader, other} {
		peer := other
		if u == other {
			peer = leader
		}
		e.reports(u, map[string]string{
			"unit": u, "events": "~install,", "founder": leader, "planned": "2", "goals": "db/0,db/1", "ports": `[["tcp", 5555], ["udp", 5433]]`,
			"config":  `{"comment": "words", "port": 5555, "ratio": 0.5, "region": "south", "verbose": false}`,
			"address": db.Units[u].Address, "interface": "lo", "juju": "~3.6.", "model": "~libraries ",
			"peers":  `{"` + peer + `": "gr\u00fc\u00dfe aus ` + peer + `\n\tzwei: Zeilen \ud83d\udca1"}`,
			"seen":   `{"central/0": "copy-of-central", "shop/0": "shop-of-shop-0", "site/0": "pages", "site/1": "pages"}`,
			"nested": "map[deeper:map[still:here]]", "state-db": "True"})
	}
	e.reports(leader, map[string]string{"leader": "True", "denied": "", "events": "~leader_elected"})
	e.reports(other, map[string]string{"leader": "False", "denied": "~RelationDataAccessError,RelationDataAccessError"})
	e.reports("central/0", map[string]string{"state-db": "False", "upstream": "south",
		"events": "install,leader_elected,start,cluster_relation_changed"})

	if got := e.run(leader, "backup", "name=full"); got["file"] != "full.3" {
		e.Errorf("backup without a level: %v", got)
	}
	if r := e.task(other, "backup", "name=impossible"); r.Status != "failed" || r.Message != "no room for impossible" {
		e.Errorf("backup: %+v", r)
	}
	if r := e.task(other, "report"); len(r.Log) != 1 || !strings.HasSuffix(r.Log[0], "about to report") {
		e.Errorf("the action's log: %q", r.Log)
	}
	if _, err := e.try("run", leader, "backup", "name=x", "level=10"); err == nil {
		e.Error("a level of 10 is accepted")
	}
	if out, err := e.try("debug-log", "--replay", "--no-tail", "--include", "unit-db-0"); err != nil || strings.Contains(out, "cluster:0: cluster:0:") ||
		!strings.Contains(out, "cluster:0: Emitting Juju event cluster_relation_created.") {
		e.Errorf("the relation is not named once in the log: %v\n%.500s", err, out)
	}
}

func (e *environment) helpers(apps map[string]application) {
	leader, other := leads(apps["site"])
	site := apps["site"]
	if site.Version != "2.4" || site.Status != (status{"active", "led by " + leader}) {
		e.Errorf("the application is %v, version %s", site.Status, site.Version)
	}
	for _, u := range []string{leader, other} {
		peer := other
		if u == other {
			peer = leader
		}
		e.reports(u, map[string]string{
			"unit": u, "charm": "helperscharm", "model": "libraries", "events": "~config-changed,start,", "titles": `[["a title", "a: 'new' title"]]`,
			"ready": "page", "recorded": "config-changed", "token": "t-" + leader, "leader": `{"token": "t-` + leader + `"}`,
			"config": `{"debug": false, "installed": true, "secret-file": "", "title": "a: 'new' title", "unset": null, "workers": 2}`,
			"ports":  "8080/tcp,9000-9003/tcp", "page": "title=a: 'new' title\nworkers=2\nclient=shop/0\n", "page-known": "32",
			"address": site.Units[u].Address, "same": "True", "peers": peer, "ingress": `["` + site.Units[peer].Address + `"]`,
			"peer-data": `~"lines": "a\nb: 'c'\n", "long": "word word `, "goal-units": "site/0,site/1", "goal-relations": "~db,web",
			"db": `~"port": "5555"`, "made": "True", "db-app": `[{"databases": "{\"site/0\": \"pages\", \"site/1\": \"pages\"}", "region": "south"}]`,
			"interfaces": "db,ring,web pydb", "principal": u, "subordinate": "False", "revision": "0", "action": "report True"})
	}
	if got := e.run(leader, "report")["peer-data"]; strings.Contains(got.(string), "drop") || !strings.Contains(got.(string), `"number": "80"`) {
		e.Errorf("a key is not removed: %v", got)
	}
	e.reports(other, map[string]string{"heard": "t-" + leader, "denied": "1", "stderr": "~not the leader"})
	if wrong := differences(e.run(leader, "resize"), map[string]string{"workers": "4", "fast": "True", "all": `{"options": {"fast": true}, "workers": 4}`}); wrong != nil {
		e.Error(wrong)
	}
	if r := e.task(leader, "resize", "workers=200"); r.Status != "failed" || r.Message != "there is room for 100 only, not 200" {
		e.Errorf("resize: %+v", r)
	}
	out := e.must("show-unit", leader, "--format", "json")
	for _, want := range []string{`"region":"south"`, `"port":"5555"`} {
		if !strings.Contains(out, want) {
			e.Errorf("show-unit %s has no %s: %s", leader, want, out)
		}
	}
}

func (e *environment) reactive(apps map[string]application) {
	shop := apps["shop"]
	if shop.Version != "0.9" {
		e.Errorf("the shop's version is %q", shop.Version)
	}
	host := func(u string) string { return apps["db"].Units[u].Address + ":5555" }
	got := e.reports("shop/0", map[string]string{"bootstrapped": "install", "venv": "True", "hook": "", "region": `["south"]`, "gone": "[]",
		"titles": `{"site/0": "a: 'new' title", "site/1": "a: 'new' title"}`, "notes": `~["install welcome", `, "unchanged": "True"})
	for _, u := range []string{"db/0", "db/1"} {
		if hosts := got["hosts"].(string); !strings.Contains(hosts, host(u)) {
			e.Errorf("the hosts are %s, without %s", hosts, host(u))
		}
		if notes := got["notes"].(string); !strings.Contains(notes, "db-relation-joined "+u) {
			e.Errorf("the notes are %s: %s has not joined", notes, u)
		}
	}
	flags := strings.Split(got["flags"].(string), ",")
	for flag, want := range map[string]bool{"shop.built": true, "shop.open": true, "shop.lights": true, "db.available": true, "db.connected": true,
		"endpoint.db.joined": true, "endpoint.web.changed.port": true, "config.set.open": true, "config.default.currency": true, "endpoint.shop.joined": false, "db.moved": false} {
		found := false
		for _, f := range flags {
			found = found || f == flag
		}
		if found != want {
			e.Errorf("flag %s: %v; there are %s", flag, found, flags)
		}
	}
	e.run("shop/0", "restock", "amount=7")
	e.must("config", "shop", "currency=CHF", "open=false")
	e.until("the shop has heard", at("shop", 1, "active open for CHF, with 2 hosts"))
	if f := e.reports("shop/0", map[string]string{"notes": `~"currency CHF"`})["flags"].(string); strings.Contains(f, "shop.lights") {
		e.Errorf("the lights are on: %s", f)
	}
	if out := e.must("exec", "--unit", "shop/0", "--", "cat", "doorbell"); !strings.Contains(out, "rings") {
		e.Errorf("the handler that is no Python: %q", out)
	}
}
