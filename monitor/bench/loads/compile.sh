# Like compiling: many small processes that read files, match patterns and compute. A source in ten
# rounds.
#   od     reads a source           sed  its preprocessor      awk   its compiler
#   gzip   its assembler            find, sort, cat, md5sum    make and the linker
compile() {
    source=0
    repeat $((ROUNDS / 10 + 1)) compile_one
    find . -name '*.o' | sort | xargs cat | md5sum >compile.result
}
compile_one() {
    source=$((source + 1))
    dd if=/bin/busybox bs=512 skip=$((source * 64)) count=1 2>/dev/null | od -x >$source.c
    sed 's/^[0-9]* *//; s/0000/zero/g' $source.c >$source.i
    awk '{ for (i = 1; i <= NF; i++) seen[$i]++ } END { for (word in seen) print seen[word], word }' \
        $source.i | sort >$source.s
    gzip -c $source.s >$source.o
}
