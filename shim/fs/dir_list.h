/*
 * dir_list.h: a directory's entries as they were when reading began. Offsets are positions in the
 * list, so names that come and go meanwhile neither repeat nor hide others.
 */
#ifndef PALIMPSEST_SHIM_FS_DIR_LIST_H
#define PALIMPSEST_SHIM_FS_DIR_LIST_H

#include "platform/annotations.h"
#include "shim/fs/file.h"

struct dir_list {
    struct dir_list_entry *entries;
    size_t count, capacity;
    char *names; /* NUL-terminated, one after the other */
    size_t names_used, names_capacity;
};
struct dir_list_entry {
    uint64_t ino;
    size_t name; /* offset in names */
    uint16_t length;
    uint8_t type; /* DT_* */
};
/* NULL: no memory. */
MUST_USE struct dir_list *dir_list_create(void);
void dir_list_free(struct dir_list *list); /* NULL is fine */
MUST_USE int dir_list_add(struct dir_list *list, const char *name, size_t length, uint64_t ino,
                          unsigned type);
/*
 * A directory's open file whose entries are read when the reading begins, and kept in file.data until it begins anew or the file
 * goes. `fill` adds what the directory holds now.
 */
typedef int (*dir_fill)(struct inode *dir, struct dir_list *list);
int dir_snapshot_read(struct file *f, dir_fill fill, uint64_t *offset, dir_emit emit, void *arg);
int64_t dir_snapshot_seek(struct task *task, struct file *f, int64_t offset, int whence);
void dir_snapshot_release(struct file *f);
/* DT_* of a mode. */
static inline unsigned dir_type(uint32_t mode)
{
    return (mode >> 12) & 15;
}

#endif
