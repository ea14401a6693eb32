"""Both sides of a secret, with all that ops has for it."""

import datetime
import json
import logging

import ops

logger = logging.getLogger(__name__)

LABEL, THEIRS = "ours", "theirs"


class SecretCharm(ops.CharmBase):
    _stored = ops.StoredState()

    def __init__(self, framework):
        super().__init__(framework)
        self._stored.set_default(heard=[], unused=[], rotated=0)
        observe = framework.observe
        observe(self.on.start, self._start)
        observe(self.on.reads_relation_changed, self._offered)
        observe(self.on.secret_changed, self._changed)
        observe(self.on.secret_rotate, self._rotate)
        observe(self.on.secret_expired, self._expired)
        observe(self.on.secret_remove, self._unused)
        observe(self.on.config_changed, self._configured)
        for name in ("add", "set", "revoke", "grant", "prune", "remove_all", "refresh", "report"):
            observe(self.on[name].action, getattr(self, "_do_" + name))

    def _start(self, _):
        self.unit.status = ops.ActiveStatus()

    def _hear(self, event, *more):
        self._stored.heard.append(" ".join([event.handle.kind, str(event.secret.label), *map(str, more)]))

    # The owner.

    def _ours(self):
        return self.model.get_secret(label=LABEL)

    def _do_add(self, event):
        owner = self.app if event.params["owner"] == "app" else self.unit
        secret = owner.add_secret(
            {"password": event.params["password"], "user": "admin"}, label=LABEL, description="for those who are related",
            rotate=ops.SecretRotate(event.params["rotate"]))
        assert secret.get_info().revision == 1
        for relation in self.model.relations["keeps"]:
            secret.grant(relation)
            relation.data[owner]["secret"] = secret.id
        event.set_results({"id": secret.id})

    def _do_set(self, event):
        secret = self._ours()
        if "password" in event.params:
            secret.set_content({"password": event.params["password"], "user": "admin"})
        if "description" in event.params:
            secret.set_info(description=event.params["description"])
        if "expire" in event.params:
            secret.set_info(expire=datetime.timedelta(seconds=event.params["expire"]))

    def _do_revoke(self, event):
        for relation in self.model.relations["keeps"]:
            self._ours().revoke(relation)

    def _do_grant(self, event):
        for relation in self.model.relations["keeps"]:
            self._ours().grant(relation)

    def _do_prune(self, event):
        for revision in self._stored.unused:
            self._ours().remove_revision(revision)
        self._stored.unused = []

    def _do_remove_all(self, event):
        self._ours().remove_all_revisions()
        for relation in self.model.relations["keeps"]:
            relation.data[self.app].pop("secret", None)

    def _rotate(self, event):
        self._stored.rotated += 1
        self._hear(event)
        event.secret.set_content({"password": "rotated-horse-%d" % self._stored.rotated, "user": "admin"})

    def _expired(self, event):
        self._hear(event, event.revision)
        event.secret.set_content({"password": "fresh-horse", "user": "admin"})

    def _unused(self, event):
        self._hear(event, event.revision)
        self._stored.unused.append(event.revision)

    # The observer.

    def _offered(self, event):
        uri = event.relation.data[event.app].get("secret") or event.unit and event.relation.data[event.unit].get("secret")
        if uri:
            self.model.get_secret(id=uri, label=THEIRS).get_content()

    def _changed(self, event):
        old, new = event.secret.get_content(), event.secret.peek_content()
        self._hear(event, "new" if old != new else "same")

    def _do_refresh(self, event):
        self.model.get_secret(label=THEIRS).get_content(refresh=True)

    # What users give.

    def _configured(self, event):
        if self.config.get("word"):
            secret = self.model.get_secret(id=self.config["word"])
            self.unit.status = ops.ActiveStatus("a word of %d letters" % len(secret.get_content()["word"]))

    def _do_report(self, event):
        results = {"heard": json.dumps(list(self._stored.heard)), "unused": json.dumps(list(self._stored.unused))}
        try:
            info = self._ours().get_info()
            results["info"] = json.dumps({
                "revision": info.revision, "rotation": str(info.rotation), "description": info.description,
                "rotates": info.rotates is not None, "expires": info.expires is not None})
            results["mine"] = self._spelt(self._ours().peek_content())
        except (ops.SecretNotFoundError, ops.ModelError) as error:
            results["info"] = type(error).__name__
        try:
            theirs = self.model.get_secret(label=THEIRS)
            results["tracked"], results["latest"] = self._spelt(theirs.get_content()), self._spelt(theirs.peek_content())
        except (ops.SecretNotFoundError, ops.ModelError) as error:
            results["tracked"] = type(error).__name__
        event.set_results(results)

    @staticmethod
    def _spelt(content):
        """The password with a space after each letter: as it is, no result may have it."""
        return " ".join(content["password"])


if __name__ == "__main__":
    ops.main(SecretCharm)
