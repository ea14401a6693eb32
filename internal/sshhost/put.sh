IFS= read -r word && [ "$word" = begin ] || { echo "sudo has not asked for a password as it did before" >&2; exit 97; }
IFS= read -r name && read -r mode || exit 98
umask 022
dir=$(dirname -- "$name")
[ -d "$dir" ] || mkdir -p -- "$dir" || exit
trap "exit 98" HUP INT TERM
tmp=$(mktemp -- "$dir/.grigri-XXXXXX") || exit
trap "rm -f -- \"\$tmp\"" EXIT
cat >"$tmp" || exit
size=$(stat -c %s -- "$tmp")
[ "$size" -ge 64 ] || exit 98
want=$(tail -c 64 -- "$tmp")
truncate -s $((size - 64)) -- "$tmp" || exit
[ "$(sha256sum <"$tmp")" = "$want  -" ] || { echo "not all of the file has come" >&2; exit 98; }
chmod "$mode" -- "$tmp" && mv -fT -- "$tmp" "$name"
