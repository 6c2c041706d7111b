/*
 * memfs_mount.c: what mount(2) and umount2(2) want of a tmpfs: its options, tmpfs(5), and its end.
 */
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/memfs.h"
#include "shim/fs/namei.h"

#define PAGE 4096u

bool memfs_owns(const struct superblock *sb)
{
    return str_equal(sb->type, "tmpfs") || str_equal(sb->type, "ramfs");
}

struct mem_options {
    uint64_t size, inodes; /* UINT64_MAX: not given */
    uint64_t mode, uid, gid;
};

/* Digits and K, M, G. A part of the machine's memory, 50%, is no limit here. */
static bool parse_size(char *text, uint64_t *out)
{
    size_t length = str_length(text);
    unsigned shift = 0;
    char unit = length ? text[length - 1] : '\0';
    if (unit == '%') {
        *out = 0;
        return true;
    }
    if (unit > '9') {
        unit |= 0x20;
        shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : 0;
        if (!shift)
            return false;
        text[length - 1] = '\0';
    }
    if (!str_to_u64(text, out) || *out > UINT64_MAX >> shift)
        return false;
    *out <<= shift;
    return true;
}

static bool parse_octal(const char *text, uint64_t *out)
{
    *out = 0;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '7' || *out > 07777)
            return false;
        *out = *out * 8 + (uint64_t)(*c - '0');
    }
    return *text != '\0';
}

static bool parse_one(char *word, struct mem_options *o)
{
    char *value = str_find(word, '=');
    if (!value)
        return str_equal(word, "inode32") || str_equal(word, "inode64");
    *value++ = '\0';
    if (str_equal(word, "size"))
        return parse_size(value, &o->size);
    if (str_equal(word, "nr_inodes"))
        return parse_size(value, &o->inodes);
    if (str_equal(word, "nr_blocks")) {
        bool good = parse_size(value, &o->size) && o->size < UINT64_MAX / PAGE;
        o->size *= PAGE;
        return good;
    }
    if (str_equal(word, "mode"))
        return parse_octal(value, &o->mode);
    if (str_equal(word, "uid"))
        return str_to_u64(value, &o->uid);
    if (str_equal(word, "gid"))
        return str_to_u64(value, &o->gid);
    return str_equal(word, "huge") || str_equal(word, "mpol");
}

static int parse(const char *data, struct mem_options *o)
{
    *o = (struct mem_options){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    char *copy = shim_strdup(data ? data : "");
    int err = copy ? 0 : -ENOMEM;
    for (char *word = copy; word && err == 0;) {
        char *comma = str_find(word, ',');
        if (comma)
            *comma++ = '\0';
        if (*word && !parse_one(word, o))
            err = -EINVAL;
        word = comma;
    }
    shim_free(copy);
    return err;
}

/* As shmem_show_options() has them. */
static char *options_text(const struct mem_fs *fs, const struct mem_node *root, uint32_t mode)
{
    struct str_buf text = {0};
    if (fs->limit_pages)
        str_buf_printf(&text, ",size=%lluk", (unsigned long long)fs->limit_pages * 4);
    if (fs->limit_inodes)
        str_buf_printf(&text, ",nr_inodes=%llu", (unsigned long long)fs->limit_inodes);
    if ((mode & 07777) != 01777)
        str_buf_printf(&text, ",mode=%03o", mode & 07777);
    if (root->uid)
        str_buf_printf(&text, ",uid=%u", root->uid);
    if (root->gid)
        str_buf_printf(&text, ",gid=%u", root->gid);
    return text.data; /* NULL: none, or no memory */
}

static int set_limits(struct inode *root, const struct mem_options *o)
{
    struct mem_node *n = mem_node(root);
    struct mem_fs *fs = n->fs;
    uint64_t pages = (o->size + PAGE - 1) / PAGE;
    bool limits = o->size != UINT64_MAX;
    if (limits && pages && pages < __atomic_load_n(&fs->used_pages, __ATOMIC_RELAXED))
        return -EINVAL;
    if (limits)
        fs->limit_pages = pages;
    if (o->inodes != UINT64_MAX)
        fs->limit_inodes = o->inodes;
    char *old = root->sb->options;
    root->sb->options = options_text(fs, n, root->mode);
    shim_free(old);
    return 0;
}

int memfs_reconfigure(struct inode *root, const char *data)
{
    struct mem_options o;
    int err = parse(data, &o);
    return err ? err : set_limits(root, &o);
}

struct inode *memfs_fresh(const char *type, const char *data, int *err)
{
    struct mem_options o;
    *err = parse(data, &o);
    struct inode *root =
        *err ? NULL : tmpfs_root(o.mode == UINT64_MAX ? 01777 : (uint32_t)o.mode, err);
    if (!root)
        return NULL;
    struct mem_node *n = mem_node(root);
    if (o.uid != UINT64_MAX)
        n->uid = (uint32_t)o.uid;
    if (o.gid != UINT64_MAX)
        n->gid = (uint32_t)o.gid;
    root->sb->type = str_equal(type, "ramfs") ? "ramfs" : "tmpfs";
    *err = set_limits(root, &o);
    if (*err == 0)
        return root;
    struct superblock *sb = root->sb;
    inode_put(root);
    memfs_discard(sb);
    return NULL;
}

/* Take all entries of `dir`; their inodes go on the list, whose links are the entries. */
static void detach_entries(struct mem_node *dir, struct mem_entry **list)
{
    struct mem_entry *e, *next;
    mutex_lock(&dir->fs->lock);
    HASH_ITER(hh, dir->entries, e, next)
    {
        if (e->kind != MEM_ENTRY_PINNED)
            continue;
        HASH_DEL(dir->entries, e);
        e->hh.next = *list;
        *list = e;
    }
    dir->pinned_entries = 0;
    dir->nlink = 0;
    mutex_unlock(&dir->fs->lock);
}

void memfs_empty(struct inode *root)
{
    struct mem_entry *list = NULL;
    detach_entries(mem_node(root), &list);
    while (list) {
        struct mem_entry *e = list;
        list = e->hh.next;
        struct inode *inode = e->inode;
        shim_free(e);
        if (S_ISDIR(inode->mode))
            detach_entries(mem_node(inode), &list);
        inode_put(inode);
    }
}
