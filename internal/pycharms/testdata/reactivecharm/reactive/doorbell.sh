#!/bin/bash
# A handler that is no Python: reactive asks it whether it has something to do, and tells it to.
case "$1" in
--test) [ "$JUJU_HOOK_NAME" = start ] && [ ! -e "$CHARM_DIR/doorbell" ] && echo rings ;;
--invoke) juju-log "the doorbell $2" && echo "$2" >"$CHARM_DIR/doorbell" ;;
esac
