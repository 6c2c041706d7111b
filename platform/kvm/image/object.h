/*
 * object.h: memory objects: zeros that grow and shrink, or the pages of a host file.
 *
 * A struct memory_object is one holder's view, with the rights of the handle it was made from; the pages are in a store, which all views of
 * one host file share. A store keeps its frames in a tree of index frames, and one reference to each.
 *
 * Pages of a file that were written are dirty, and stay so while the store is mapped anywhere: a processor may write on unseen.
 */
#ifndef PALIMPSEST_PLATFORM_KVM_IMAGE_OBJECT_H
#define PALIMPSEST_PLATFORM_KVM_IMAGE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/guest_memory.h"
#include "platform/kvm/image/mm_env.h"
#include "platform/kvm/image/pool.h"

struct store {
    struct pool_link link; /* of the pool when free, of the list of files when over one */
    struct mm_mutex lock;
    uint32_t views;  /* atomic */
    uint32_t mapped; /* atomic: ranges of spaces that show it */
    /* under lock: */
    uint64_t size;
    uint64_t root; /* of the tree, or FRAME_NONE */
    int height;
    /* fixed, but that writer is set once, under the list's lock: */
    struct host_file *file, *writer; /* NULL: zeros; can't be written */
    uint64_t dev, ino;
};

struct memory_object {
    struct pool_link link;
    uint32_t refs; /* atomic; of the shim and of ranges of spaces */
    bool readable, writable;
    struct store *store;
};

enum object_access { OBJECT_LOOK, OBJECT_READ, OBJECT_WRITE };
/*
 * The frame of page `index`, with a reference for the caller. LOOK: only if it is there without asking the host (-ENOENT). WRITE: it will
 * be written, so a file's page becomes dirty. Errors: -ERANGE (past the end), -ENOMEM, -EIO.
 */
MUST_USE int object_frame(struct memory_object *obj, uint64_t index, enum object_access access,
                          uint64_t *phys);
bool object_is_file(const struct memory_object *obj);
/* A range of a space shows it, and has a reference / does no longer. */
void object_mapped(struct memory_object *obj);
void object_unmapped(struct memory_object *obj);

/* memory_ops */
struct memory_object *kvm_memory_object_create(struct platform *p, uint64_t size, int *err);
struct memory_object *kvm_memory_object_from_file(struct platform *p, struct host_file *file,
                                                  int *err);
void kvm_memory_object_get(struct platform *p, struct memory_object *obj);
void kvm_memory_object_put(struct platform *p, struct memory_object *obj);
uint64_t kvm_memory_object_size(struct platform *p, struct memory_object *obj);
int kvm_memory_object_resize(struct platform *p, struct memory_object *obj, uint64_t size);
int kvm_memory_object_punch(struct platform *p, struct memory_object *obj, uint64_t offset,
                            uint64_t size);
int64_t kvm_memory_object_seek(struct platform *p, struct memory_object *obj, uint64_t offset,
                               enum memory_seek what);
int64_t kvm_memory_object_read(struct platform *p, struct memory_object *obj, uint64_t offset,
                               struct mem_ref into);
int64_t kvm_memory_object_write(struct platform *p, struct memory_object *obj, uint64_t offset,
                                struct mem_ref from);

#endif
