from charms.reactive import Endpoint, clear_flag, set_flag, toggle_flag, when, when_not


class DatabaseRequires(Endpoint):
    """The requiring side of interface pydb."""

    def manage_flags(self):
        toggle_flag(self.expand_name("{endpoint_name}.available"), bool(self.hosts()))

    @when("endpoint.{endpoint_name}.joined")
    def joined(self):
        set_flag(self.expand_name("{endpoint_name}.connected"))

    @when("endpoint.{endpoint_name}.changed.port")
    def port_changed(self):
        set_flag(self.expand_name("{endpoint_name}.moved"))
        clear_flag(self.expand_name("changed.port"))

    @when_not("endpoint.{endpoint_name}.joined")
    def broken(self):
        clear_flag(self.expand_name("{endpoint_name}.connected"))

    def ask(self, database):
        for relation in self.relations:
            relation.to_publish_raw["database"] = database

    def hosts(self):
        return sorted("%s:%s" % (u.received_raw["host"], u.received_raw["port"])
                      for u in self.all_joined_units if u.received_raw.get("host") and u.received_raw.get("port"))

    def region(self):
        return [r.received_app_raw.get("region") for r in self.relations]
