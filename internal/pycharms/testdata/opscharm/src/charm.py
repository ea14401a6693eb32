"""A database that is none: it exercises the larger part of the ops library."""

import dataclasses
import json
import logging
import os
import pathlib

import ops
from ops import hookcmds

logger = logging.getLogger(__name__)


class ClientNamed(ops.EventBase):
    """A client has said which database it wants. It is kept over hooks when it is deferred."""

    def __init__(self, handle, client=None, database=None):
        super().__init__(handle)
        self.client = client
        self.database = database

    def snapshot(self):
        return {"client": self.client, "database": self.database}

    def restore(self, snapshot):
        self.client = snapshot["client"]
        self.database = snapshot["database"]


class ProviderEvents(ops.ObjectEvents):
    client_named = ops.EventSource(ClientNamed)


class Provider(ops.Object):
    """The providing side of interface pydb, as a charm library has it."""

    on = ProviderEvents()
    _stored = ops.StoredState()

    def __init__(self, charm, endpoint):
        super().__init__(charm, endpoint)
        self._charm = charm
        self._stored.set_default(seen={}, departed=[])
        self.framework.observe(charm.on[endpoint].relation_created, self._created)
        self.framework.observe(charm.on[endpoint].relation_changed, self._changed)
        self.framework.observe(charm.on[endpoint].relation_departed, self._departed)
        self.framework.observe(charm.on[endpoint].relation_broken, self._broken)

    def _created(self, event):
        address = self.model.get_binding(event.relation).network.bind_address
        event.relation.data[self.model.unit].update({"host": str(address), "port": str(self._charm.config["port"])})

    def _changed(self, event):
        if event.unit is None:
            return
        wanted = event.relation.data[event.unit].get("database")
        if wanted and self._stored.seen.get(event.unit.name) != wanted:
            self._stored.seen[event.unit.name] = wanted
            self.on.client_named.emit(event.unit.name, wanted)

    def _departed(self, event):
        if event.departing_unit is not None and event.departing_unit.app is not self.model.app:
            self._stored.departed.append(event.departing_unit.name)
            self._stored.seen.pop(event.departing_unit.name, None)

    def _broken(self, event):
        assert not event.relation.active and not event.relation.units
        logger.info("nobody is left on %s", event.relation.id)

    @property
    def seen(self):
        return dict(self._stored.seen)

    @property
    def departed(self):
        return list(self._stored.departed)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The configuration, typed."""

    region: str
    port: int
    ratio: float
    verbose: bool
    comment: str | None = None

    def __post_init__(self):
        if not 0 < self.port < 65536:
            raise ValueError("port: there is no port %d" % self.port)


class DatabaseCharm(ops.CharmBase):
    _stored = ops.StoredState()

    def __init__(self, framework):
        super().__init__(framework)
        self._stored.set_default(events=[], promised={}, upstream="")
        self.provider = Provider(self, "db")
        observe = framework.observe
        for event in (self.on.install, self.on.leader_elected, self.on.start, self.on.upgrade_charm, self.on.stop, self.on.remove):
            observe(event, self._note)
        observe(self.on.install, self._install)
        observe(self.on.leader_elected, self._elected)
        observe(self.on.config_changed, self._configure)
        observe(self.provider.on.client_named, self._promise)
        observe(self.on.cluster_relation_created, self._enter_cluster)
        observe(self.on.cluster_relation_changed, self._note)
        observe(self.on.upstream_relation_joined, self._ask)
        observe(self.on.upstream_relation_changed, self._answered)
        observe(self.on.report_action, self._report)
        observe(self.on.backup_action, self._backup)
        observe(self.on.collect_unit_status, self._unit_status)
        observe(self.on.collect_app_status, self._app_status)

    def _note(self, event):
        self._stored.events.append(event.handle.kind)

    def _install(self, _):
        self.unit.status = ops.MaintenanceStatus("laying the table: 1 of 2")
        assert isinstance(self.unit.status, ops.MaintenanceStatus)
        self.unit.set_workload_version("15.4")

    def _elected(self, _):
        peers = self.model.get_relation("cluster")
        if peers:
            peers.data[self.app]["founder"] = self.unit.name

    def _enter_cluster(self, event):
        event.relation.data[self.unit]["greeting"] = "grüße aus " + self.unit.name + "\n\tzwei: Zeilen 💡"
        if self.unit.is_leader():
            event.relation.data[self.app]["founder"] = self.unit.name

    def _configure(self, _):
        settings = self.load_config(Settings, errors="blocked")
        self.unit.set_ports(settings.port, ops.Port("udp", 5433))
        for relation in self.model.relations["db"]:
            relation.data[self.unit]["port"] = str(settings.port)
            if self.unit.is_leader() and settings.region:
                relation.data[self.app]["region"] = settings.region

    def _promise(self, event):
        if not self.config["region"]:
            event.defer()
            return
        self._stored.promised[event.client] = event.database
        if not self.unit.is_leader():
            return
        for relation in self.model.relations["db"]:
            names = [u.name for u in relation.units]
            if event.client in names:
                relation.data[self.app].update({
                    "region": self.config["region"],
                    "databases": json.dumps({n: d for n, d in self._stored.promised.items() if n in names}, sort_keys=True)})

    def _ask(self, event):
        event.relation.data[self.unit]["database"] = "copy-of-" + self.app.name

    def _answered(self, event):
        self._stored.upstream = event.relation.data[event.app].get("region", "")

    def _report(self, event):
        peers = self.model.get_relation("cluster")
        network = self.model.get_binding("admin").network
        denied = []
        if not self.unit.is_leader():
            for relation in self.model.relations["db"]:
                for attempt in (lambda r: r.data[self.app].update({"x": "y"}), lambda r: dict(r.data[self.app])):
                    try:
                        attempt(relation)
                    except ops.RelationDataError as error:
                        denied.append(type(error).__name__)
        event.log("about to report")
        event.set_results({
            "unit": self.unit.name,
            "events": ",".join(self._stored.events),
            "peers": json.dumps({u.name: peers.data[u].get("greeting") for u in peers.units}),
            "founder": peers.data[self.app].get("founder", ""),
            "planned": self.app.planned_units(),
            "ports": json.dumps(sorted([p.protocol, p.port] for p in self.unit.opened_ports())),
            "config": json.dumps({k: v for k, v in self.config.items()}, sort_keys=True),
            "address": str(network.ingress_address),
            "interface": network.interfaces[0].name,
            "seen": json.dumps(self.provider.seen, sort_keys=True),
            "departed": json.dumps(self.provider.departed),
            "promised": json.dumps(dict(self._stored.promised), sort_keys=True),
            "upstream": self._stored.upstream,
            "denied": ",".join(denied),
            "model": self.model.name + " " + self.model.uuid,
            "remote-model": ",".join(sorted({r.remote_model.uuid for r in self.model.relations["db"]})),
            "juju": str(ops.JujuContext.from_environ().version),
            "goals": ",".join(sorted(hookcmds.goal_state().units)),
            "leader": str(hookcmds.is_leader()),
            "bag": json.dumps({r.id: sorted(u.name for u in r.units) for r in self.model.relations["db"]}),
            "state-db": str(pathlib.Path(os.environ["JUJU_CHARM_DIR"], ".unit-state.db").exists()),
            "nested": {"deeper": {"still": "here"}},
        })

    def _backup(self, event):
        if event.params["name"] == "impossible":
            event.fail("no room for " + event.params["name"])
            return
        event.set_results({"file": "%(name)s.%(level)d" % event.params, "task": event.id})

    def _unit_status(self, event):
        if not self.config["region"]:
            event.add_status(ops.BlockedStatus("say where: config region"))
        waiting = sorted(set(self.provider.seen) - set(self._stored.promised))
        if waiting:
            event.add_status(ops.WaitingStatus("for the promise to " + ", ".join(waiting)))
        event.add_status(ops.ActiveStatus("serving %d" % len(self._stored.promised)))

    def _app_status(self, event):
        event.add_status(ops.ActiveStatus("led by " + self.unit.name))


if __name__ == "__main__":
    # One application keeps its state with the controller, the others in a file beside the charm.
    ops.main(DatabaseCharm, use_juju_for_storage=os.environ["JUJU_UNIT_NAME"].startswith("central/"))
