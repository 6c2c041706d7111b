/*
 * grown.S: constants that nobody reads, so that a small program lies in memory as a bigger one would.
 */
    .section .rodata, "a", @progbits
    .skip 0x140000
    .section .note.GNU-stack, "", @progbits
