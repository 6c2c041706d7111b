/*
 * object_inside.h: shared by object.c and object_data.c.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_OBJECT_INSIDE_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_OBJECT_INSIDE_H

#include "platform/kvm/image/object.h"

#define STORE_DIRTY UINT64_C(1) /* in a slot: to be written to the file */

/* All under the store's lock. */
uint64_t *store_slot(const struct store *s, uint64_t index); /* NULL: no page there */
/* The first page from `first` on that is there. UINT64_MAX: none. */
uint64_t store_first(const struct store *s, uint64_t first);
void store_cut(struct store *s, uint64_t first, uint64_t end);
/* Each page in [first, end), until one says no. */
typedef int store_visit(const struct store *s, uint64_t index, uint64_t *slot);
int store_each(const struct store *s, uint64_t first, uint64_t end, store_visit *visit);

/* The store over that file, with a reference to be given to store_put; or NULL. */
struct store *store_find(uint64_t dev, uint64_t ino);
void store_put(struct store *s);
/* Dirty pages in [first, end) go to the file. What the host refuses is lost, as on Linux when nobody asks. Takes the lock. */
void store_write_back(struct store *s, uint64_t first, uint64_t end);

#endif
