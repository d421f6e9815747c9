# Context switches: a byte goes to another process and comes back, ten times a round.
context() {
    mkfifo there back
    while read line; do echo; done <there >back &
    exec 3>there 4<back
    repeat $ROUNDS ten_trips
    exec 3>&- 4<&-
    wait
}
ten_trips() {
    repeat 10 trip
}
trip() {
    echo >&3
    read line <&4
}
