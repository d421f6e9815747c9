#!/bin/sh
# The first program of a macro row's guest. The bench puts ROUNDS=N and the loads below this, and
# reads the console: a load is measured from "<name" to ">name", and ends with "=name".
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
cd /tmp
measured() {
    echo "<$1"
    $1
    echo ">$1"
    if [ -f "$1.result" ]; then cat "$1.result"; fi
    echo "=$1"
}
# repeat N COMMAND
repeat() {
    local count=$1
    shift
    while [ $count -gt 0 ]; do
        "$@"
        count=$((count - 1))
    done
}
