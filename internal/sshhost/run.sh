exec 2>&1
IFS= read -r word && [ "$word" = begin ] || { echo "sudo has not asked for a password as it did before" >&2; exit 97; }
read -r size || exit 98
script=$(head -c "$size")
case $script in *"#end of script") ;; *) exit 98 ;; esac
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
exec 3<&0 </dev/null
( exec 3<&-; eval "$script" ) &
job=$!
( read -r word <&3; kill -TERM 0 ) >/dev/null 2>&1 &
watch=$!
wait "$job"
status=$?
kill "$watch"
exit "$status"
