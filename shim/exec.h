/*
 * exec.h: execve in three parts: what to run (exec.c: scripts, interpreters), what it finds in
 * memory (exec_stack.c), and the switch to it. Private to them; others call exec_load() in mm.h.
 */
#ifndef PALIMPSEST_SHIM_EXEC_H
#define PALIMPSEST_SHIM_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/annotations.h"
#include "shim/elf_load.h"
#include "shim/mm.h"
#include "shim/process.h"

#define EXEC_MAX_SCRIPTS 5u              /* scripts in a row before the program: ELOOP beyond */
#define EXEC_MAX_STRING (32 * 4096u)     /* MAX_ARG_STRLEN */
#define EXEC_MIN_STRINGS (128 * 1024ull) /* ARG_MAX: allowed whatever RLIMIT_STACK says */
#define EXEC_MAX_STRINGS (6ull * 1024 * 1024) /* and this is always too much (execve(2)) */
#define EXEC_SCRIPT_LINE 256u                 /* BINPRM_BUF_SIZE */

/* Read at once: the header and, mostly, all else that a plan needs. */
#define EXEC_START_SIZE 1024u

/* One ELF file, its plan and where it is loaded. */
struct exec_object {
    struct file *file;               /* owned */
    char start[EXEC_START_SIZE + 1]; /* the first bytes of the file, and room for a NUL */
    size_t start_size;
    struct elf_plan plan;
    uint64_t base; /* added to every address of the plan */
};

/* Drawn at once: one call to the host. Each is used for one thing; all but `at_random` are 0 when
 * not randomizing. */
struct exec_random {
    uint64_t stack, jitter, mmap, program, brk;
    unsigned char at_random[16];
};

struct exec_image {
    struct task *task;
    const struct exec_request *request;
    char *why;
    size_t why_size;

    /* What stands in front of argv[1...], last first: the script, its interpreter's argument, the
     * interpreter, ... Owned. */
    char *front[2 * EXEC_MAX_SCRIPTS + 1];
    unsigned front_count; /* 0: no script, argv as given */
    unsigned script_depth;

    struct exec_object program, interpreter; /* interpreter.file NULL: none */
    struct exec_ids ids;
    struct mm *mm; /* the new one; owned until the switch */
    struct exec_random random;
    uint64_t vdso; /* 0: none */
    uint64_t stack_pointer;
};

/* Say why, for people; returns err. */
int exec_refuse(struct exec_image *image, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Bytes that argv and envp may have in all, pointers counted. */
uint64_t exec_string_limit(const struct task *task);
/* `random` as a number of bytes, in pages: less than 2^bits pages and a small part of the guest's
 * range. */
uint64_t exec_random_pages(uint64_t random, unsigned bits);
/* Decide where stack and mmap area are; map the stack; write arguments, environment and auxiliary
 * vector. The new space is active. */
void exec_place_stack(struct exec_image *image);
MUST_USE int exec_build_stack(struct exec_image *image);

#endif
