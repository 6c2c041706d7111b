/*
 * patch.h: what patch.c (when and where), patch_text.c (what is known of the text), patch_plan.c (what can be
 * done at a site), patch_write.c (stubs and the writing) and patch_record.c (--stats) share.
 */
#ifndef PALIMPSEST_LINUX_USER_PATCH_H
#define PALIMPSEST_LINUX_USER_PATCH_H

#include "platform/linux_user/lu.h"
#include "platform/linux_user/site.h"

#define PATCH_TEXTS 64
#define PATCH_SETS 32u
#define PATCH_WAYS 4u
#define PATCH_HITS (PATCH_SETS * PATCH_WAYS)
#define PATCH_STUB_SIZE 64u
#define PATCH_STUB_LOAD_SIZE 10u /* 49 bb return_rip: mov to r11 */
#define PATCH_AREA_SIZE 0x10000ull
#define PATCH_STUBS (PATCH_AREA_SIZE / PATCH_STUB_SIZE)
#define PATCH_AREAS 4u
#define PATCH_REACH 0x7fff0000ull /* of a jump with 32 bits */

/* Text mapped private from a file and not writable since. */
struct patch_text {
    uint64_t start, end, offset;         /* offset: of start, in the file */
    struct memory_object *object;        /* counted reference */
    uint64_t written_start, written_end; /* pages given a mapping of their own; empty at first */
    uint64_t identity;                   /* of the file, for --stats; 0 without */
};

struct patch_hit {
    uint64_t site;          /* address of the syscall instruction */
    uint32_t traps, number; /* number: the call's, as it was in rax */
};

/* 64 KiB of stubs. Lies outside the guest's range, or in a hole of it that the guest does not know of and may map over. */
struct patch_area {
    uint64_t base; /* 0: not mapped */
    uint32_t high; /* stubs handed out from the bottom; atomic: a signal handler asks */
    uint64_t taken[PATCH_STUBS / 64];
};

/* What linux_user knows of one space's text; NULL until something patchable is mapped. */
struct lu_patch {
    struct lu_lock lock; /* also held across fork: a child must not inherit a half-written site */
    uint64_t rewriting;  /* atomic: site that holds a breakpoint now; 0: none */
    bool in_padding;     /* a long jump was put into padding; set before, never cleared */
    /* under lock: */
    uint32_t text_count;
    struct patch_text text[PATCH_TEXTS];
    struct patch_area areas[PATCH_AREAS];
    struct patch_hit hits[PATCH_HITS]; /* traps in this space; without lock: races lose a count */
    struct patch_family *family;       /* counted reference */
};

/*
 * Traps of a space and all its children since the last execve. A short-lived child traps too seldom to patch for itself; its parent
 * does, before the next fork, for the sites its children meet again and again.
 */
struct patch_family {
    uint32_t refs;
    uint32_t analyses; /* atomic: under way */
    struct patch_hit hits[PATCH_HITS];
    uint64_t
        settled[PATCH_HITS]; /* site that needs no second look: patched by the parent, or refused */
};

/* One site's stub; code first. Read by the guest's processor, written through /proc/self/mem. */
struct patch_stub {
    uint8_t code
        [32]; /* [the moved instruction] 49 bb return_rip; ff 25: jmp *entry. r11 is lost in a system call anyway */
    uint64_t entry;
    uint64_t site;    /* address of the bytes overwritten there */
    uint64_t padding; /* address of the long jump; 0: form "before" */
    uint8_t length;   /* of the overwritten instruction; form "padding": 0 */
    uint8_t original[SITE_JUMP_SIZE + SITE_SYSCALL_SIZE]; /* of padding: after those of the site */
};
_Static_assert(sizeof(struct patch_stub) == PATCH_STUB_SIZE, "stubs are found by multiples");

/* patch_text.c; under p->lock */
/* References are taken and given back. A table that is full forgets the new text. */
void patch_text_add(struct lu_patch *p, const struct patch_text *text);
/* Of text on both sides a full table keeps the lower part. */
void patch_text_cut(struct lu_patch *p, uint64_t start, uint64_t end);
struct patch_text *patch_text_find(struct lu_patch *p, uint64_t start, uint64_t end);
/* Before [start, end) of it is written: see patch_text.c. */
void patch_text_set_apart(struct patch_text *text, uint64_t start, uint64_t end);
/*
 * The window around the syscall at `site`, read from its file: SITE_FINE or SITE_NOT_READABLE. `bytes` holds SITE_WINDOW_MAX. *base:
 * guest address of its first byte.
 */
enum site_refusal patch_window(const struct patch_text *text, uint64_t site, uint8_t *bytes,
                               struct site_window *out, uint64_t *base);

/* patch_plan.c; under no lock: files are read, and those of a network may take their time */
/* What the analysis of a site found; offsets count from the syscall. */
struct patch_plan {
    enum site_refusal before;   /* SITE_FINE, or why form "before" is impossible */
    enum site_refusal boundary; /* SITE_NO_BOUNDARY: instructions are not certain */
    struct site_insn insn;      /* before == SITE_FINE: it ends at the syscall */
    int16_t padding;            /* a place for the long jump of the other form; 0: none */
    uint8_t bytes[SITE_INSN_MAX + SITE_SYSCALL_SIZE]; /* insn and the syscall, as in the file */
    uint8_t padding_bytes[SITE_JUMP_SIZE];            /* the same of the padding */
};
/* SITE_FINE and *out; SITE_NOT_READABLE, SITE_CHANGED. */
enum site_refusal patch_plan(const struct patch_text *text, uint64_t site, struct patch_plan *out);
/* The place in plan->padding is taken: the next one, or 0. */
void patch_plan_next(const struct patch_text *text, uint64_t site, struct patch_plan *plan);

/* patch_write.c; under p->lock, in the space's own carrier, but for the two signal-safe ones */
enum patch_effort {
    PATCH_IF_NEW, /* SITE_ALREADY when it is patched */
    PATCH_AGAIN,  /* its instruction is patched, but code jumps to the syscall itself */
};
/*
 * Make the syscall at `site` a jump, as planned for that text, which may be gone by now. *padding: that form was tried; *taken: its place
 * is another site's, nothing was done.
 */
enum site_refusal patch_apply(struct lu_patch *p, const struct lu_carrier *c,
                              const struct patch_text *planned_for, uint64_t site,
                              const struct patch_plan *plan, enum patch_effort effort,
                              bool *padding, bool *taken);
/* Put back what was overwritten within [start, end). No thread is in one of their stubs afterwards. */
void patch_restore_range(struct lu_patch *p, struct lu_carrier *c, uint64_t start, uint64_t end);
/* The guest takes the place of these stubs. */
void patch_evict_area(struct lu_patch *p, struct lu_carrier *c, struct patch_area *area);
/* patch.c: what was counted at a site whose patch is gone counts from 0 again. */
void patch_site_restored(struct lu_patch *p, uint64_t site);
bool patch_read(void *out, uint64_t address, size_t size);

/* patch_record.c: with --stats only */
enum patch_trap { PATCH_TRAP_NEW, PATCH_TRAP_SETTLED };
void patch_record_trap(struct lu_patch *p, uint64_t site, uint64_t number, enum patch_trap kind);
void patch_record_verdict(struct lu_patch *p, const struct lu_carrier *c, uint64_t site,
                          enum site_refusal verdict, bool padding);

#endif
