/*
 * mm_world.h: mm over a pretended space that only remembers, page by page, what was mapped there;
 * so a test can compare what the platform was told with what the VMAs say. Guest range: the pages
 * [WORLD_FIRST_PAGE, WORLD_END_PAGE).
 */
#ifndef PALIMPSEST_TESTS_MM_WORLD_H
#define PALIMPSEST_TESTS_MM_WORLD_H

#include <stdint.h>

#define WORLD_FIRST_PAGE 16u
#define WORLD_END_PAGE 4096u

struct mm_world;
struct mm_world *mm_world_create(void);
/* Destroys the mm; the number of object references that were left. */
long mm_world_destroy(struct mm_world *w);
/* The nth platform call from now on that can fail does so with -ENOMEM; 0: none. */
void mm_world_fail_call(struct mm_world *w, unsigned nth);

int64_t mm_world_map(struct mm_world *w, uint64_t page, uint64_t pages, unsigned prot,
                     unsigned flags);
int64_t mm_world_map_shared(struct mm_world *w, uint64_t page, uint64_t pages, unsigned prot);
int mm_world_unmap(struct mm_world *w, uint64_t page, uint64_t pages);
int mm_world_protect(struct mm_world *w, uint64_t page, uint64_t pages, unsigned prot);
int64_t mm_world_remap(struct mm_world *w, uint64_t page, uint64_t pages, uint64_t new_pages,
                       unsigned flags, uint64_t to);
int mm_world_advise(struct mm_world *w, uint64_t page, uint64_t pages, int advice);
void mm_world_set_brk_start(struct mm_world *w, uint64_t page);
uint64_t mm_world_brk(struct mm_world *w, uint64_t addr);
int mm_world_fault(struct mm_world *w, uint64_t page, int write);
void mm_world_set_stack_limit(uint64_t bytes);

unsigned mm_world_vma_count(const struct mm_world *w);
/* Tree, list and counters agree, and the VMAs say exactly what the platform was told. Result: NULL,
 * or what is wrong. */
const char *mm_world_check(struct mm_world *w);
/* Fork, check that the child's VMAs are the parent's, destroy the child. Result: 1 same, 0
 * different, -errno. */
int mm_world_fork(struct mm_world *w);

#endif
