/*
 * futex.h: waiters on guest words, found by key. Semantics: futex(2).
 */
#ifndef PALIMPSEST_SHIM_FUTEX_H
#define PALIMPSEST_SHIM_FUTEX_H

#include <stdint.h>

struct task;

/* Wake up to `count` waiters on a word of the active space, whichever way they wait. Result: how many. */
long futex_wake_word(struct task *task, uint64_t addr, int count);

#endif
