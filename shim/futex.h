/*
 * futex.h: waiters on guest words, found by key. Semantics: futex(2).
 */
#ifndef PALIMPSEST_SHIM_FUTEX_H
#define PALIMPSEST_SHIM_FUTEX_H

#include <stdint.h>

struct task;

/* Wake up to `count` waiters on a word of the active space that did not declare it private, as the kernel does by itself (thread exit,
 * robust lists). Result: how many, or -errno. */
long futex_wake_word(struct task *task, uint64_t addr, int count);

/*
 * The task leaves its space for good (exit, execve) after its robust list was walked: those who wait for locks that it owns look
 * again, and find that it is gone.
 */
void futex_owner_exits(struct task *task);

#endif
