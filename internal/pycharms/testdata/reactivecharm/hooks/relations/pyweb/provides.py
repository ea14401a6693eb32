from charms.reactive import Endpoint


class WebProvides(Endpoint):
    """The providing side of interface pyweb: what is published is JSON."""

    def publish(self, **values):
        for relation in self.relations:
            relation.to_publish.update(values)

    def publish_app(self, **values):
        for relation in self.relations:
            relation.to_publish_app.update(values)
