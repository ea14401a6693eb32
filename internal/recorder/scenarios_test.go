package recorder

// life is everything that happens to the charms.
func life() []step {
	return []step{
		{do: []string{"model-config", "automatically-retry-hooks=false"}},
		{do: []string{"deploy", "CHARM", "web"}, ran: runs{"web/0": "install; cluster-relation-created; leader-elected; config-changed; start"}},
		{do: []string{"deploy", "CHARM", "store", "--resource", "data=FILE"}, ran: runs{"store/0": "install; cluster-relation-created; leader-elected; config-changed; start"}},
		{do: []string{"config", "web", "n=2", "ratio=1"}, ran: runs{"web/0": "config-changed"}},
		{do: []string{"config", "web", "n=2"}}, // the same value
		{together: true, do: []string{"integrate", "web:db", "store:site"}, ran: runs{
			"web/0":   "db-relation-created; db-relation-joined store/0; db-relation-changed store/0",
			"store/0": "site-relation-created; site-relation-joined web/0; site-relation-changed web/0"}},

		// Data: of a unit, the same again, of the application, and of the peers.
		{do: []string{"run", "web/0", "set", "endpoint=db", "value=one"}, ran: runs{"web/0": "actions/set", "store/0": "site-relation-changed web/0"}},
		{do: []string{"run", "web/0", "set", "endpoint=db", "value=one"}, ran: runs{"web/0": "actions/set"}},
		{do: []string{"run", "store/0", "set", "endpoint=site", "app=true", "value=all"}, ran: runs{"store/0": "actions/set", "web/0": "db-relation-changed"}},
		{do: []string{"run", "web/0", "set", "endpoint=cluster", "app=true", "value=ring"}, ran: runs{"web/0": "actions/set; cluster-relation-changed"}},
		{do: []string{"exec", "--unit", "web/0", "--", "./record"}, ran: runs{"web/0": "exec"}},

		// Subordinates: one endpoint of the principal's own, and one that it does not know of.
		{do: []string{"deploy", "SUB", "logger"}},
		{together: true, do: []string{"integrate", "logger:logs", "web:logs"}, ran: runs{
			"web/0":    "logs-relation-created; logs-relation-joined logger/0; logs-relation-changed logger/0",
			"logger/0": "install; logs-relation-created; leader-elected; config-changed; start; logs-relation-joined web/0; logs-relation-changed web/0"}},
		{together: true, do: []string{"integrate", "logger:info", "store"}, ran: runs{
			"logger/1": "install; info-relation-created; leader-settings-changed; config-changed; start; info-relation-joined store/0; info-relation-changed store/0"}},

		// Scale: the new unit hears of everyone, and everyone of it; its peers last.
		{together: true, do: []string{"add-unit", "web"}, ran: runs{
			"web/1": "install; db-relation-created; logs-relation-created; cluster-relation-created; leader-settings-changed; config-changed; start; " +
				"db-relation-changed; db-relation-joined store/0; db-relation-changed store/0; logs-relation-joined logger/2; logs-relation-changed logger/2; " +
				"cluster-relation-changed; cluster-relation-joined web/0; cluster-relation-changed web/0",
			"web/0":    "cluster-relation-joined web/1; cluster-relation-changed web/1",
			"store/0":  "site-relation-joined web/1; site-relation-changed web/1",
			"logger/2": "install; logs-relation-created; leader-settings-changed; config-changed; start; logs-relation-joined web/1; logs-relation-changed web/1"}},
		{do: []string{"run", "web/1", "set", "endpoint=cluster", "value=mine"}, ran: runs{"web/1": "actions/set", "web/0": "cluster-relation-changed web/1"}},

		// Failure: what the hook had set is lost, but for its status; nothing else runs until the user answers.
		{do: []string{"config", "store", "fail=config-changed"}, ran: runs{"store/0": "config-changed"}, must: "store/0=error"},
		{do: []string{"config", "store", "fail=", "n=3"}, must: "store/0=error"},
		{do: []string{"resolved", "store/0"}, ran: runs{"store/0": "config-changed"}, must: "store/0=maintenance"},
		{do: []string{"config", "store", "fail=config-changed"}, ran: runs{"store/0": "config-changed"}, must: "store/0=error"},
		{do: []string{"resolved", "store/0", "--no-retry"}, must: "store/0=maintenance"},
		{do: []string{"config", "store", "fail="}, ran: runs{"store/0": "config-changed"}},

		// Another charm, and another resource with the same charm.
		{do: []string{"refresh", "web", "--path", "NEWER"}, ran: runs{"web/0": "upgrade-charm; config-changed", "web/1": "upgrade-charm; config-changed"}},
		{do: []string{"attach-resource", "store", "data=FILE2"}, ran: runs{"store/0": "upgrade-charm; config-changed"}},
		{do: []string{"trust", "store"}, ran: runs{"store/0": "config-changed"}},

		// The leader goes: another one leads before it is gone, and it hears of everyone's leaving.
		{do: []string{"config", "web", "hold=web/0:db-relation-departed"}, ran: runs{"web/0": "config-changed", "web/1": "config-changed"}},
		{do: []string{"config", "logger", "hold=logger/0:logs-relation-departed"}, ran: runs{
			"logger/0": "config-changed", "logger/1": "config-changed", "logger/2": "config-changed"}},
		{together: true, do: []string{"remove-unit", "web/0", "--no-prompt"}, also: []string{
			"go:db-relation-departed after web/1 did leader-elected", "go:logs-relation-departed after logger/1 did leader-elected"}, ran: runs{
			"web/0": "db-relation-departed store/0; db-relation-broken; logs-relation-departed logger/0; logs-relation-broken; " +
				"cluster-relation-departed web/1; stop; remove",
			"web/1":    "leader-elected; cluster-relation-departed web/0",
			"store/0":  "site-relation-departed web/0",
			"logger/0": "logs-relation-departed web/0; logs-relation-broken; stop; remove",
			"logger/1": "leader-elected",
			"logger/2": "leader-settings-changed"}},

		// A relation goes.
		{together: true, do: []string{"remove-relation", "web", "store"}, ran: runs{
			"web/1":   "db-relation-departed store/0; db-relation-broken",
			"store/0": "site-relation-departed web/1; site-relation-broken"}},
		{do: []string{"model-config", "update-status-hook-interval=1s"}, ran: runs{"web/1": "update-status", "store/0": "update-status", "logger/1": "update-status", "logger/2": "update-status"}},
		{do: []string{"model-config", "update-status-hook-interval=24h"}},
	}
}

// holdings is what the charms' units have beside their relations: storage, secrets, and what the model sets for all.
func holdings() []step {
	return []step{
		{do: []string{"model-config", "automatically-retry-hooks=false"}},
		{do: []string{"deploy", "CHARM", "owner", "--storage", "data=local,10M"}, ran: runs{"owner/0": "data-storage-attached data/0; install; cluster-relation-created; leader-elected; config-changed; start"}},
		{do: []string{"model-config", "egress-subnets=10.1.0.0/16, 192.0.2.7/32"}, ran: runs{"owner/0": "config-changed"}}, // from where packets come
		{do: []string{"deploy", "CHARM", "reader"}, ran: runs{"reader/0": "install; cluster-relation-created; leader-elected; config-changed; start"}},

		// Storage comes, goes, comes back and is removed.
		{do: []string{"add-storage", "owner/0", "data=local,10M"}, ran: runs{"owner/0": "data-storage-attached data/1"}},
		{do: []string{"detach-storage", "data/1"}, ran: runs{"owner/0": "data-storage-detaching data/1"}},
		{do: []string{"attach-storage", "owner/0", "data/1"}, ran: runs{"owner/0": "data-storage-attached data/1"}},
		{do: []string{"remove-storage", "data/1", "--force"}, ran: runs{"owner/0": "data-storage-detaching data/1"}},

		// A secret is made, read, changed, read again, expires, and is removed.
		{together: true, do: []string{"integrate", "owner:site", "reader:db"}, ran: runs{
			"owner/0":  "site-relation-created; site-relation-joined reader/0; site-relation-changed reader/0",
			"reader/0": "db-relation-created; db-relation-joined owner/0; db-relation-changed owner/0"}},
		{do: []string{"run", "owner/0", "do", `script=id=$(secret-add --label mine --description 'a word' word=first-horse); secret-grant $id -r $(relation-ids site); relation-set -r $(relation-ids site) secret=$id`},
			ran: runs{"owner/0": "actions/do", "reader/0": "db-relation-changed owner/0"}},
		{do: []string{"run", "reader/0", "do", `script=secret-get $(relation-get -r $(relation-ids db) secret owner/0) --label theirs`}, ran: runs{"reader/0": "actions/do"}},
		{do: []string{"run", "owner/0", "do", `script=secret-set $(secret-ids) word=second-horse`}, ran: runs{"owner/0": "actions/do", "reader/0": "secret-changed"}},
		{do: []string{"run", "reader/0", "do", `script=secret-get --label theirs --refresh`}, ran: runs{"reader/0": "actions/do", "owner/0": "secret-remove"}},
		{do: []string{"run", "owner/0", "do", `script=secret-remove --revision 1 $(secret-ids)`}, ran: runs{"owner/0": "actions/do"}},
		{do: []string{"run", "owner/0", "do", `script=secret-set --expire 1s --rotate daily $(secret-ids)`}, ran: runs{"owner/0": "actions/do; secret-expired"}},
		{do: []string{"run", "owner/0", "do", `script=secret-remove $(secret-ids)`}, ran: runs{"owner/0": "actions/do"}},

		// What the model sets for all: hooks have it with their next run.
		{do: []string{"model-config", "http-proxy=http://127.0.0.1:3128", "no-proxy=127.0.0.1", "juju-http-proxy=http://127.0.0.1:3129"}},
		{do: []string{"config", "reader", "n=2"}, ran: runs{"reader/0": "config-changed"}},

		{together: true, do: []string{"remove-unit", "owner/0", "--no-prompt"}, ran: runs{
			"owner/0":  "data-storage-detaching data/0; site-relation-departed reader/0; site-relation-broken; stop; remove",
			"reader/0": "db-relation-departed owner/0"}},
	}
}
