/*
 * dir_list.c: growing lists of directory entries, and open directories that are read from them.
 */
#include "shim/fs/dir_list.h"

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"

struct dir_list *dir_list_create(void)
{
    return shim_zalloc(sizeof(struct dir_list));
}

void dir_list_free(struct dir_list *list)
{
    if (!list)
        return;
    shim_free(list->entries);
    shim_free(list->names);
    shim_free(list);
}

static int make_room(void **array, size_t *capacity, size_t element, size_t need)
{
    if (need <= *capacity)
        return 0;
    size_t bigger = *capacity ? *capacity * 2 : 64;
    while (bigger < need)
        bigger *= 2;
    void *p = shim_realloc(*array, bigger * element);
    if (!p)
        return -ENOMEM;
    *array = p;
    *capacity = bigger;
    return 0;
}

int dir_list_add(struct dir_list *list, const char *name, size_t length, uint64_t ino,
                 unsigned type)
{
    void *entries = list->entries, *names = list->names;
    int err = make_room(&entries, &list->capacity, sizeof(*list->entries), list->count + 1);
    list->entries = entries;
    if (err == 0)
        err = make_room(&names, &list->names_capacity, 1, list->names_used + length + 1);
    list->names = names;
    if (err)
        return err;
    list->entries[list->count++] = (struct dir_list_entry){
        .ino = ino, .name = list->names_used, .length = (uint16_t)length, .type = (uint8_t)type};
    memcpy(list->names + list->names_used, name, length);
    list->names[list->names_used + length] = '\0';
    list->names_used += length + 1;
    return 0;
}

static int emit_from(const struct dir_list *list, uint64_t *offset, dir_emit emit, void *arg)
{
    while (*offset < list->count) {
        const struct dir_list_entry *e = &list->entries[*offset];
        if (emit(arg, list->names + e->name, e->length, e->ino, e->type, *offset + 1))
            break;
        (*offset)++;
    }
    return 0;
}

int dir_snapshot_read(struct file *f, dir_fill fill, uint64_t *offset, dir_emit emit, void *arg)
{
    if (*offset == 0 || !f->data) {
        struct dir_list *list = dir_list_create();
        int err = list ? fill(f->inode, list) : -ENOMEM;
        if (err) {
            dir_list_free(list);
            return err;
        }
        dir_list_free(f->data);
        f->data = list;
    }
    return emit_from(f->data, offset, emit, arg);
}

int64_t dir_snapshot_seek(struct task *task, struct file *f, int64_t offset, int whence)
{
    (void)task;
    return file_seek_in(f, offset, whence, 0);
}

void dir_snapshot_release(struct file *f)
{
    dir_list_free(f->data);
}
