/*
 * site.h: what can be done to a `syscall` instruction so that it no longer traps, decided from the bytes around it. Pure: no host, no
 * space, no memory but the caller's; any bytes are safe to give.
 *
 *   form "before": the instruction that precedes it, of five bytes or more, becomes a jump to a stub that performs it
 *        48 8d 7c 24 08   lea 8(%rsp),%rdi   becomes   e9 rel32   jmp stub
 *        0f 05            syscall                      0f 05      left in place: whoever jumps to it traps as before
 *   form "padding": the two bytes become a short jump into padding between functions, which holds the long jump
 *        0f 05            syscall            becomes   eb rel8    jmp 1f
 *        90 90 ...        (padding)                1:  e9 rel32   jmp stub
 *
 * In neither does a byte that follows the `syscall` change, nor can a jump, or a thread that waits between two instructions, land inside
 * of what is overwritten: "before" overwrites (the start of) one instruction, "padding" what nobody executes.
 */
#ifndef PALIMPSEST_LINUX_USER_SITE_H
#define PALIMPSEST_LINUX_USER_SITE_H

#include <stdbool.h>
#include <stdint.h>

#define SITE_JUMP_SIZE 5u    /* e9 rel32 */
#define SITE_SYSCALL_SIZE 2u /* 0f 05 */
#define SITE_INSN_MAX 15u
#define SITE_WINDOW_MAX 8192u /* bytes looked at */
#define SITE_FUNCTIONS_MAX 64u

enum site_refusal {
    SITE_FINE,
    SITE_NOT_TEXT, /* not mapped private from a file, or writable once: it may be generated code */
    SITE_TRAMPOLINE,   /* rt_sigreturn: unwinders know a signal frame by these bytes */
    SITE_NO_BOUNDARY,  /* where instructions begin is not certain */
    SITE_NO_ROOM,      /* no instruction before it that can move, no padding near */
    SITE_NO_STUB,      /* no place for a stub within 2 GiB */
    SITE_CHANGED,      /* the text is not what its file says */
    SITE_NOT_READABLE, /* its file cannot be read */
    SITE_HOST,         /* the host lets nobody write text */
    SITE_GS,           /* the program uses GS itself */
    SITE_ALREADY,      /* is patched: somebody jumped past the patch */
    SITE_REFUSAL_COUNT,
};
const char *site_refusal_text(enum site_refusal why);

/* A function by its unwind information, as offsets from window's start; may lie outside the window. */
struct site_function {
    int64_t start, end;
};

/* The text around a `syscall`: as the file has it, so that earlier patches are not seen. */
struct site_window {
    const uint8_t *bytes;
    uint64_t address; /* of bytes[0]; only its alignment counts */
    uint32_t size;    /* at most SITE_WINDOW_MAX */
    uint32_t syscall; /* offset of the instruction; two bytes of it are in the window */
    /* Known functions near, ascending; none: only the bytes tell. */
    struct site_function functions[SITE_FUNCTIONS_MAX];
    uint32_t function_count;
};

/* Work space of the analysis; what site_scan() found, for the others. */
struct site_map {
    const struct site_window *window;
    uint32_t
        sure_from; /* instruction starts are known from here; the window's size: only from the `syscall` */
    uint8_t starts[SITE_WINDOW_MAX / 8]; /* bit: an instruction starts here */
    uint8_t ends[SITE_WINDOW_MAX /
                 8]; /* bit: the instruction that starts here never goes on to the next */
    uint8_t targets[SITE_WINDOW_MAX / 8]; /* bit: a direct branch of this window leads here */
};

/* Find the instructions of the window. SITE_FINE, or SITE_NO_BOUNDARY: site_before has nothing to go by, site_padding may. */
enum site_refusal site_scan(const struct site_window *window, struct site_map *map);

struct site_insn {
    uint32_t at; /* offset in the window */
    uint8_t length;
    uint8_t displacement; /* offset in it of a RIP-relative displacement of 4 bytes; 0: none */
};
/* The instruction before the `syscall`, if form "before" may overwrite it: SITE_FINE, SITE_NO_BOUNDARY or SITE_NO_ROOM. */
enum site_refusal site_before(const struct site_map *map, struct site_insn *out);

/*
 * The next place at or after offset `from` for a long jump in padding that the short jump at the `syscall` reaches. false: none. The
 * caller asks again from behind when the place is taken.
 */
bool site_padding(const struct site_map *map, uint32_t from, uint32_t *at);

/* Write `insn`, which runs at address `old`, to `out` so that it does the same at `moved`. false: its operand is out of reach from there. */
bool site_move(const struct site_insn *insn, const uint8_t *bytes, uint64_t old, uint64_t moved,
               uint8_t *out);

#endif
