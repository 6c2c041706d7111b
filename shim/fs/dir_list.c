/*
 * dir_list.c: growing lists of directory entries.
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

int dir_list_emit(const struct dir_list *list, uint64_t *offset, dir_emit emit, void *arg)
{
    while (*offset < list->count) {
        const struct dir_list_entry *e = &list->entries[*offset];
        if (emit(arg, list->names + e->name, e->length, e->ino, e->type, *offset + 1))
            break;
        (*offset)++;
    }
    return 0;
}
