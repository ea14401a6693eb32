from charms.reactive import Endpoint, clear_flag, set_flag, when


class WebRequires(Endpoint):
    """The requiring side of interface pyweb: it looks at pages."""

    @when("endpoint.{endpoint_name}.changed.title")
    def title_changed(self):
        set_flag(self.expand_name("{endpoint_name}.titled"))
        clear_flag(self.expand_name("changed.title"))

    @when("endpoint.{endpoint_name}.departed")
    def departed(self):
        set_flag(self.expand_name("{endpoint_name}.missed"))
        clear_flag(self.expand_name("departed"))

    def titles(self):
        return {u.unit_name: u.received_raw.get("title") for u in self.all_joined_units}

    def gone(self):
        return list(self.all_departed_units.keys())
