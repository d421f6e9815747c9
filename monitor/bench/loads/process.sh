# Processes: fork, exec of a static program, exit, wait.
process() {
    repeat $ROUNDS /bin/true
}
