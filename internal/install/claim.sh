set -eu
fresh=$(mktemp -d "$base.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
trap 'exit 1' HUP INT TERM
echo "$uuid" >"$fresh/claim"
mv -nT "$fresh" "$base" 2>/dev/null || true
[ "$(cat "$base/claim" 2>/dev/null)" = "$uuid" ] || { echo "another bootstrap was faster: $base is there"; exit 1; }
