/*
 * tty_line.h: the line discipline: what becomes of bytes between a terminal's keys and its readers, and between its writers and
 * its screen. Semantics: termios(3), canonical and non-canonical mode. The owner locks.
 */
#ifndef PALIMPSEST_SHIM_FS_TTY_LINE_H
#define PALIMPSEST_SHIM_FS_TTY_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/termios.h>

#include "shim/fs/ring.h"

#define TTY_LINE_MAX 4096 /* bytes of a line with its end; as in Linux */
#define TTY_LINES_MAX 256 /* complete lines nobody read yet */

struct tty_line {
    struct termios attr;
    struct ring input;  /* for readers */
    struct ring output; /* for the screen */
    /* Canonical: lengths of the lines at the front of `input`, oldest first (a ring) */
    uint16_t lines[TTY_LINES_MAX];
    unsigned line_first, line_count;
    char edit[TTY_LINE_MAX]; /* canonical: the line being typed */
    unsigned edit_length;
    bool literal; /* VLNEXT came: the next byte has no meaning of its own */
    bool stopped; /* VSTOP came: output waits */
    bool held;    /* TCOOFF: it waits whatever is typed */
    unsigned column;
    size_t batch_mark; /* bytes in `output` when this batch of keys began */
};

void tty_line_init(struct tty_line *l, char *input, char *output, size_t capacity);

/* As at first, but for what is on its way to the screen. */
void tty_line_reset(struct tty_line *l);

/* Bytes that come in one write are a batch: a signal key also takes back the echo of those before it. */
static inline void tty_line_begin_batch(struct tty_line *l)
{
    l->batch_mark = l->output.used;
}

/* One byte from the keyboard. Result: a signal for the foreground group, or 0. Requires: tty_line_accepts(). */
int tty_line_key(struct tty_line *l, unsigned char c);
bool tty_line_accepts(const struct tty_line *l);

/* One byte of a writer to the screen. false: no room now. */
bool tty_line_put(struct tty_line *l, unsigned char c);

/* Something is there for a reader; `wanted` is VMIN or 1 in non-canonical mode. */
bool tty_line_readable(const struct tty_line *l, size_t wanted);
/* Take what one read(2) gets. Requires: readable. Result: bytes, 0: end of file, -EFAULT. */
int64_t tty_line_take(struct tty_line *l, struct mem_ref into);

void tty_line_set_attr(struct tty_line *l, const struct termios *attr);
void tty_line_flush_input(struct tty_line *l);

#endif
