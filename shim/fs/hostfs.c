/*
 * hostfs.c: inodes of a granted host directory.
 *
 * An inode remembers its parent and name and opens host handles only when something needs them;
 * handles not in use wait on an LRU list whose length bounds what the host must keep open. A handle
 * opened again by name must lead to the same host inode, or the file counts as gone (-ESTALE).
 */
#include "shim/fs/hostfs_names.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/base/string.h"
#include "shim/fs/namei.h"
#include "shim/shim.h"

#define HANDLES_MAX 256u
#define HOSTFS_DEVICES 64u

struct host_key {
    uint64_t dev, ino;
};

struct host_fs {
    enum hostfs_mode mode;
    struct host_file *root;  /* owned by the root's node, which never goes */
    struct host_node *nodes; /* by host identity; weak */
    uint64_t devices[HOSTFS_DEVICES];
    unsigned device_count;
};

struct host_node {
    struct inode *inode;
    struct host_fs *fs;
    struct host_key key;
    UT_hash_handle hh;
    bool in_table;
    struct mutex list_lock; /* one reader of the directory handle at a time */
    /* under g_host_lock */
    struct inode *parent;     /* owned; NULL: the granted one */
    char *name;               /* owned */
    struct host_file *handle; /* owned; to look at, and below when a directory */
    struct host_file *data;   /* owned; regular files */
    enum hostfs_access data_access;
    struct memory_object *object; /* owned */
    enum hostfs_access object_access;
    bool on_lru, pinned; /* pinned: has no name to be opened by again */
    struct host_node *lru_prev, *lru_next;
    char *link;            /* owned; HOSTFS_FIXED only */
    struct host_stat stat; /* as of the lookup; kept current only when HOSTFS_FIXED */
};

/* Guards tables, names and handles of all host file systems; never held across a host call. */
static struct mutex g_host_lock;
static struct host_node *g_lru;
static unsigned g_lru_count;

static const struct inode_ops g_hostfs_ops;

bool hostfs_owns(const struct inode *inode)
{
    return inode->ops == &g_hostfs_ops;
}

static struct host_node *node_of(struct inode *inode)
{
    return inode->data;
}

/* What eviction leaves to be closed once the lock is dropped. */
struct host_garbage {
    struct host_file *handle, *data;
    struct memory_object *object;
};

static void garbage_drop(struct host_garbage *g)
{
    if (g->object)
        memory_object_put(g_platform, g->object);
    if (g->data)
        host_file_close(g_platform, g->data);
    if (g->handle)
        host_file_close(g_platform, g->handle);
}

static struct host_garbage take_handles(struct host_node *n)
{
    struct host_garbage g = {n->handle, n->data, n->object};
    n->handle = NULL;
    n->data = NULL;
    n->object = NULL;
    return g;
}

static void lru_remove(struct host_node *n)
{
    if (!n->on_lru)
        return;
    DL_DELETE2(g_lru, n, lru_prev, lru_next);
    n->on_lru = false;
    g_lru_count--;
}

/* Under the lock: n's handles were just used. Evicts at most one other node, into *g. */
static void lru_touch(struct host_node *n, struct host_garbage *g)
{
    if (n->pinned)
        return;
    if (n->on_lru && !n->lru_next)
        return;
    lru_remove(n);
    DL_APPEND2(g_lru, n, lru_prev, lru_next);
    n->on_lru = true;
    if (++g_lru_count <= HANDLES_MAX)
        return;
    struct host_node *oldest = g_lru;
    lru_remove(oldest);
    *g = take_handles(oldest);
}

static bool same_file(struct host_node *n, struct host_file *file)
{
    struct host_stat st;
    return host_file_stat(g_platform, file, &st) == 0 && st.dev == n->key.dev &&
           st.ino == n->key.ino;
}

/* Open n by its name below `above`, its parent's handle. */
static struct host_file *open_by_name(struct host_node *n, struct host_file *above, unsigned flags,
                                      int *err)
{
    char name[256];
    mutex_lock(&g_host_lock);
    str_copy(name, n->name, sizeof(name));
    mutex_unlock(&g_host_lock);
    struct host_file *file = host_file_open(g_platform, above, name, flags, 0, err);
    if (file && !same_file(n, file)) {
        host_file_close(g_platform, file);
        *err = -ESTALE;
        return NULL;
    }
    return file;
}

/* A handle to look at `n` with, opening missing ancestors from the nearest that has one. Owner:
 * caller. */
static struct host_file *node_handle(struct host_node *n, int *err)
{
    for (;;) {
        struct host_garbage g = {0};
        mutex_lock(&g_host_lock);
        struct host_node *have = n, *below = NULL;
        while (!have->handle) {
            below = have;
            have = node_of(have->parent);
        }
        struct host_file *file = have->handle;
        host_file_get(g_platform, file);
        lru_touch(have, &g);
        if (below)
            inode_get(below->inode);
        mutex_unlock(&g_host_lock);
        garbage_drop(&g);
        if (!below)
            return file;
        /* One handle to read a directory and to look below it; only the latter where reading is not
         * allowed. */
        bool directory = S_ISDIR(below->inode->mode);
        struct host_file *opened = open_by_name(
            below, file, directory ? HOST_OPEN_READ | HOST_OPEN_DIRECTORY : HOST_OPEN_PATH, err);
        if (!opened && directory && *err == -EACCES)
            opened = open_by_name(below, file, HOST_OPEN_PATH, err);
        host_file_close(g_platform, file);
        bool done = below == n;
        if (opened && (directory || below->pinned)) {
            g = (struct host_garbage){0};
            mutex_lock(&g_host_lock);
            if (!below->handle) {
                below->handle = opened;
                host_file_get(g_platform, opened);
                lru_touch(below, &g);
            }
            mutex_unlock(&g_host_lock);
            garbage_drop(&g);
        }
        inode_put(below->inode);
        if (!opened)
            return NULL;
        if (done)
            return opened;
        host_file_close(g_platform, opened);
    }
}

struct host_file *hostfs_handle(struct inode *inode, int *err)
{
    return node_handle(node_of(inode), err);
}

static uint64_t device_index(struct host_fs *fs, uint64_t dev)
{
    for (unsigned i = 0; i < fs->device_count; i++)
        if (fs->devices[i] == dev)
            return i;
    if (fs->device_count == HOSTFS_DEVICES)
        return dev % 0x7fff + HOSTFS_DEVICES;
    fs->devices[fs->device_count] = dev;
    return fs->device_count++;
}

static uint64_t number_of(const struct host_stat *st, uint64_t device)
{
    return st->ino ^ device << 48;
}

/* Under the lock: the inode that is known for this file, with a reference; or NULL. */
static struct inode *node_known(const struct host_fs *fs, const struct host_key *key, uint32_t mode)
{
    struct host_node *known;
    HASH_FIND(hh, fs->nodes, key, sizeof(*key), known);
    if (!known || ((known->inode->mode ^ mode) & S_IFMT) != 0 ||
        !inode_get_unless_gone(known->inode))
        return NULL;
    known->inode->mode = mode;
    return known->inode;
}

static bool is_named(struct host_node *n, const struct inode *parent, const char *name)
{
    mutex_lock(&g_host_lock);
    bool named = n->pinned || (n->parent == parent && str_equal(n->name, name));
    mutex_unlock(&g_host_lock);
    return named;
}

/* It is there now: the host has moved it, or it has several names. It is opened by this one from now on. */
static void found_at(struct inode *inode, struct inode *parent, const char *name)
{
    struct host_node *n = node_of(inode);
    if (n->fs->mode == HOSTFS_FIXED || !parent || is_named(n, parent, name))
        return;
    char *copy = shim_strdup(name);
    if (copy)
        hostfs_renamed(inode, parent, copy);
}

struct inode *hostfs_seen(struct superblock *sb, struct inode *parent, const char *name,
                          const struct host_stat *st, int *err)
{
    struct host_fs *fs = sb->data;
    struct host_key key = {st->dev, st->ino};
    mutex_lock(&g_host_lock);
    struct inode *inode = node_known(fs, &key, st->mode);
    mutex_unlock(&g_host_lock);
    if (inode) { /* as a rule: names of the host are looked up anew each time */
        found_at(inode, parent, name);
        return inode;
    }
    struct host_node *n = shim_zalloc(sizeof(*n));
    char *copy = shim_strdup(name);
    inode = n && copy ? inode_create(sb, &g_hostfs_ops, st->mode, n, err) : NULL;
    if (!inode) {
        shim_free(n);
        shim_free(copy);
        *err = -ENOMEM;
        return NULL;
    }
    *n = (struct host_node){
        .inode = inode, .fs = fs, .key = key, .name = copy, .parent = parent, .stat = *st};
    if (parent)
        inode_get(parent);
    if (S_ISDIR(st->mode))
        inode->file_ops = &g_hostfs_directory_ops;
    else if (S_ISREG(st->mode))
        inode->file_ops = &g_hostfs_regular_ops;
    mutex_lock(&g_host_lock);
    struct inode *other = node_known(fs, &key, st->mode); /* made meanwhile */
    if (other) {
        mutex_unlock(&g_host_lock);
        inode_put(inode);
        return other;
    }
    inode->ino = number_of(st, device_index(fs, st->dev));
    struct host_node *known;
    HASH_FIND(hh, fs->nodes, &key, sizeof(key), known);
    if (known) {
        HASH_DEL(fs->nodes, known);
        known->in_table = false;
    }
    HASH_ADD(hh, fs->nodes, key, sizeof(n->key), n);
    n->in_table = n->hh.tbl != NULL;
    mutex_unlock(&g_host_lock);
    return inode;
}

static void hostfs_release(struct inode *inode)
{
    struct host_node *n = node_of(inode);
    mutex_lock(&g_host_lock);
    if (n->in_table)
        HASH_DEL(n->fs->nodes, n);
    lru_remove(n);
    struct host_garbage g = take_handles(n);
    mutex_unlock(&g_host_lock);
    garbage_drop(&g);
    if (n->parent)
        inode_put(n->parent);
    shim_free(n->name);
    shim_free(n->link);
    shim_free(n);
}

static void tell_stat(const struct superblock *sb, uint64_t ino, uint32_t mode,
                      const struct host_stat *st, struct file_stat *out)
{
    out->dev = sb->dev;
    out->ino = ino;
    out->mode = mode;
    out->nlink = st->nlink;
    out->uid = st->uid;
    out->gid = st->gid;
    out->rdev = st->rdev;
    out->size = st->size;
    out->blocks = st->blocks;
    out->block_size = st->block_size;
    out->atime_ns = st->atime_ns;
    out->mtime_ns = st->mtime_ns;
    out->ctime_ns = st->ctime_ns;
    out->btime_ns = 0;
}

struct inode *hostfs_lookup(struct inode *dir, const char *name, struct file_stat *seen, int *err)
{
    struct host_file *above = node_handle(node_of(dir), err);
    if (!above)
        return NULL;
    struct host_stat st;
    *err = host_file_stat_at(g_platform, above, name, &st);
    host_file_close(g_platform, above);
    struct inode *inode = *err ? NULL : hostfs_seen(dir->sb, dir, name, &st, err);
    if (inode && seen && node_of(inode)->fs->mode != HOSTFS_FIXED)
        tell_stat(inode->sb, inode->ino, inode->mode, &st, seen);
    return inode;
}

static int look(struct inode *dir, const char *name,
                int (*at)(struct platform *p, struct host_file *dir, const char *name,
                          struct host_stat *out),
                struct inode *known, struct file_stat *out)
{
    struct host_fs *fs = node_of(dir)->fs;
    /* The granted directory has no parent, and its handle stays: no need to count a use of it. */
    bool granted = !__atomic_load_n(&node_of(dir)->parent, __ATOMIC_RELAXED);
    int err = 0;
    struct host_file *above = granted ? fs->root : node_handle(node_of(dir), &err);
    if (!above)
        return err;
    struct host_stat st;
    err = at(g_platform, above, name, &st);
    if (!granted)
        host_file_close(g_platform, above);
    if (err)
        return err;
    if (known) {
        const struct host_node *n = node_of(known);
        if (st.dev != n->key.dev || st.ino != n->key.ino || (st.mode ^ known->mode) & S_IFMT)
            return -ESTALE;
        known->mode = st.mode;
    }
    uint64_t device = 0;
    if (st.dev != fs->devices[0]) { /* the first is the root's, and does not change */
        mutex_lock(&g_host_lock);
        device = device_index(fs, st.dev);
        mutex_unlock(&g_host_lock);
    }
    tell_stat(dir->sb, number_of(&st, device), st.mode, &st, out);
    return 0;
}

static int hostfs_look(struct inode *dir, const char *name, struct inode *known,
                       struct file_stat *out)
{
    int err = look(dir, name, host_file_stat_at, known, out);
    if (known && err == 0)
        found_at(known, dir, name);
    return err;
}

static const char *last_of(const char *path)
{
    const char *last = path;
    for (; *path; path++)
        if (*path == '/')
            last = path + 1;
    return last;
}

static int hostfs_look_path(struct inode *dir, const char *path, struct inode *known,
                            const struct inode *above, struct file_stat *out)
{
    if (known && !is_named(node_of(known), above, last_of(path)))
        return -ESTALE;
    return look(dir, path, host_file_stat_path, known, out);
}

/* What n's name is now, if that is still n, without opening it. */
static int stat_by_name(struct host_node *n, struct host_stat *st)
{
    char name[256];
    int err = 0;
    mutex_lock(&g_host_lock);
    struct inode *parent = n->parent;
    inode_get(parent);
    str_copy(name, n->name, sizeof(name));
    mutex_unlock(&g_host_lock);
    struct host_file *above = node_handle(node_of(parent), &err);
    if (above) {
        err = host_file_stat_at(g_platform, above, name, st);
        host_file_close(g_platform, above);
    }
    inode_put(parent);
    return err == 0 && (st->dev != n->key.dev || st->ino != n->key.ino) ? -ESTALE : err;
}

static int node_stat(struct host_node *n, struct host_stat *st)
{
    if (n->fs->mode == HOSTFS_FIXED) {
        *st = n->stat;
        return 0;
    }
    struct host_file *file = NULL;
    int err = 0;
    mutex_lock(&g_host_lock);
    file = n->data ? n->data : n->handle;
    if (file)
        host_file_get(g_platform, file);
    mutex_unlock(&g_host_lock);
    if (!file) /* the root and what lost its name have a handle */
        return stat_by_name(n, st);
    err = host_file_stat(g_platform, file, st);
    host_file_close(g_platform, file);
    return err;
}

static int hostfs_getattr(struct inode *inode, struct file_stat *out)
{
    struct host_stat st;
    int err = node_stat(node_of(inode), &st);
    if (err)
        return err;
    inode->mode = (inode->mode & S_IFMT) | (st.mode & 07777);
    tell_stat(inode->sb, inode->ino, inode->mode, &st, out);
    return 0;
}

struct host_file *hostfs_data(struct inode *inode, enum hostfs_access access, int *err)
{
    struct host_node *n = node_of(inode);
    struct host_garbage g = {0};
    mutex_lock(&g_host_lock);
    struct host_file *file = n->data && n->data_access >= access ? n->data : NULL;
    if (file) {
        host_file_get(g_platform, file);
        lru_touch(n, &g);
    }
    struct inode *parent = n->pinned ? NULL : n->parent;
    if (parent)
        inode_get(parent);
    mutex_unlock(&g_host_lock);
    garbage_drop(&g);
    if (!file) {
        unsigned flags = HOST_OPEN_READ | (access == HOSTFS_READ_WRITE ? HOST_OPEN_WRITE : 0);
        struct host_file *above = node_handle(parent ? node_of(parent) : n, err);
        if (above && parent)
            file = open_by_name(n, above, flags, err);
        else if (above)
            file = host_file_reopen(g_platform, above, flags, err);
        if (above)
            host_file_close(g_platform, above);
        if (file) {
            host_file_get(g_platform, file);
            mutex_lock(&g_host_lock);
            g = (struct host_garbage){0};
            struct host_file *old = n->data;
            n->data = file;
            n->data_access = access;
            lru_touch(n, &g);
            mutex_unlock(&g_host_lock);
            garbage_drop(&g);
            if (old)
                host_file_close(g_platform, old);
        }
    }
    if (parent)
        inode_put(parent);
    return file;
}

struct memory_object *hostfs_object(struct inode *inode, enum hostfs_access access, int *err)
{
    struct host_node *n = node_of(inode);
    mutex_lock(&g_host_lock);
    struct memory_object *object = n->object && n->object_access >= access ? n->object : NULL;
    if (object)
        memory_object_get(g_platform, object);
    mutex_unlock(&g_host_lock);
    if (object)
        return object;
    struct host_file *file = hostfs_data(inode, access, err);
    if (!file)
        return NULL;
    object = memory_object_from_file(g_platform, file, err);
    host_file_close(g_platform, file);
    if (!object)
        return NULL;
    memory_object_get(g_platform, object);
    struct host_garbage g = {0}, evicted = {0};
    mutex_lock(&g_host_lock);
    g.object = n->object;
    n->object = object;
    n->object_access = access;
    lru_touch(n, &evicted);
    mutex_unlock(&g_host_lock);
    garbage_drop(&g);
    garbage_drop(&evicted);
    return object;
}

/* All entries that `file` lists; -EBADF when it is only to look at. */
static int list_all(struct host_file *file, uint64_t tag, struct dir_list *list,
                    bool (*skip)(void *arg, const char *name), void *arg)
{
    const size_t size = 32768;
    char *buffer = shim_alloc(size);
    int err = buffer ? 0 : -ENOMEM;
    uint64_t offset = 0;
    while (err == 0) {
        int64_t got = host_file_readdir(g_platform, file, offset, buffer, size);
        if (got <= 0) {
            err = (int)got;
            break;
        }
        for (int64_t at = 0; at < got && err == 0;) {
            const struct host_dirent *e = (const struct host_dirent *)(buffer + at);
            if (!skip || !skip(arg, e->name))
                err = dir_list_add(list, e->name, str_length(e->name), e->ino ^ tag, e->type);
            offset = e->next_offset;
            at += e->record_size;
        }
    }
    shim_free(buffer);
    return err;
}

int hostfs_list(struct inode *dir, struct dir_list *list, bool (*skip)(void *arg, const char *name),
                void *arg)
{
    int err = 0;
    struct host_node *n = node_of(dir);
    struct host_file *file = node_handle(n, &err);
    if (!file)
        return err;
    mutex_lock(&g_host_lock);
    uint64_t tag = device_index(n->fs, n->key.dev) << 48;
    mutex_unlock(&g_host_lock);
    /* The handle has one position, wherever it is used. */
    mutex_lock(&n->list_lock);
    err = list_all(file, tag, list, skip, arg);
    mutex_unlock(&n->list_lock);
    if (err == -EBADF) {
        err = 0;
        struct host_file *readable =
            host_file_reopen(g_platform, file, HOST_OPEN_READ | HOST_OPEN_DIRECTORY, &err);
        if (readable) {
            err = list_all(readable, tag, list, skip, arg);
            host_file_close(g_platform, readable);
        }
    }
    host_file_close(g_platform, file);
    return err;
}

static int hostfs_readlink(struct inode *inode, char *out, size_t size)
{
    struct host_node *n = node_of(inode);
    if (n->fs->mode == HOSTFS_FIXED) {
        mutex_lock(&g_host_lock);
        int length = n->link ? (int)str_length(n->link) : -1;
        if (length > (int)size)
            length = (int)size;
        if (n->link && length >= 0)
            memcpy(out, n->link, (size_t)length);
        mutex_unlock(&g_host_lock);
        if (length >= 0)
            return length;
    }
    int err = 0;
    struct host_file *file = node_handle(n, &err);
    if (!file)
        return err;
    int64_t length = host_file_readlink(g_platform, file, out, size);
    host_file_close(g_platform, file);
    if (length >= 0 && (size_t)length < size && n->fs->mode == HOSTFS_FIXED) {
        char *copy = shim_strndup(out, (size_t)length);
        mutex_lock(&g_host_lock);
        if (!n->link) {
            n->link = copy;
            copy = NULL;
        }
        mutex_unlock(&g_host_lock);
        shim_free(copy);
    }
    return (int)length;
}

int hostfs_setattr(struct inode *inode, unsigned mask, const struct file_stat *attr)
{
    struct host_node *n = node_of(inode);
    int err = 0;
    struct host_file *file =
        mask & HOST_SET_SIZE ? hostfs_data(inode, HOSTFS_READ_WRITE, &err) : node_handle(n, &err);
    if (!file)
        return err;
    struct host_stat st = {
        .mode = attr->mode & 07777,
        .uid = attr->uid,
        .gid = attr->gid,
        .size = attr->size,
        .atime_ns = attr->atime_ns,
        .mtime_ns = attr->mtime_ns,
    };
    err = host_file_setattr(g_platform, file, mask, &st);
    host_file_close(g_platform, file);
    if (err == 0 && (mask & HOST_SET_MODE))
        inode->mode = (inode->mode & S_IFMT) | (attr->mode & 07777);
    return err;
}

struct inode *hostfs_give_to(struct inode *inode, uint32_t uid, uint32_t gid)
{
    struct host_node *n = inode ? node_of(inode) : NULL;
    if (n && (uid || gid) && (n->stat.uid != uid || n->stat.gid != gid)) {
        struct file_stat attr = {.uid = uid, .gid = gid};
        (void)!hostfs_setattr(inode, HOST_SET_OWNER, &attr);
    }
    return inode;
}

void hostfs_offer_data(struct inode *inode, struct host_file *file)
{
    struct host_node *n = node_of(inode);
    struct host_garbage g = {0};
    mutex_lock(&g_host_lock);
    bool taken = !n->data;
    if (taken) {
        n->data = file;
        n->data_access = HOSTFS_READ_WRITE;
        lru_touch(n, &g);
    }
    mutex_unlock(&g_host_lock);
    garbage_drop(&g);
    if (!taken)
        host_file_close(g_platform, file);
}

void hostfs_pin_nameless(struct inode *inode, struct host_file *file)
{
    struct host_node *n = node_of(inode);
    host_file_get(g_platform, file);
    mutex_lock(&g_host_lock);
    n->pinned = true;
    n->handle = file;
    n->data = file;
    n->data_access = HOSTFS_READ_WRITE;
    mutex_unlock(&g_host_lock);
}

void hostfs_now_named(struct inode *inode, struct inode *parent, const char *name)
{
    struct host_node *n = node_of(inode);
    mutex_lock(&g_host_lock);
    bool nameless = n->pinned && n->name && !n->name[0];
    mutex_unlock(&g_host_lock);
    char *copy = nameless ? shim_strdup(name) : NULL;
    if (!copy)
        return; /* its handles stay, which does no harm */
    hostfs_renamed(inode, parent, copy);
    struct host_garbage g = {0};
    mutex_lock(&g_host_lock);
    n->pinned = false;
    lru_touch(n, &g);
    mutex_unlock(&g_host_lock);
    garbage_drop(&g);
}

void hostfs_pin(struct inode *inode)
{
    struct host_node *n = node_of(inode);
    int err = 0;
    struct host_file *file = node_handle(n, &err);
    struct host_garbage g = {0};
    mutex_lock(&g_host_lock);
    lru_remove(n);
    n->pinned = true;
    if (!n->handle) {
        n->handle = file;
        file = NULL;
    }
    mutex_unlock(&g_host_lock);
    garbage_drop(&g);
    if (file)
        host_file_close(g_platform, file);
}

void hostfs_renamed(struct inode *inode, struct inode *parent, char *name)
{
    struct host_node *n = node_of(inode);
    inode_get(parent);
    mutex_lock(&g_host_lock);
    struct inode *above = parent;
    while (above && above != inode) /* what the host moves meanwhile could become a circle */
        above = node_of(above)->parent;
    struct inode *old_parent = above ? parent : n->parent;
    char *old_name = above ? name : n->name;
    if (!above) {
        n->parent = parent;
        n->name = name;
    }
    mutex_unlock(&g_host_lock);
    if (old_parent)
        inode_put(old_parent);
    shim_free(old_name);
}

static int rename_op(struct inode *from_dir, const char *from, struct inode *moved UNUSED,
                     struct inode *to_dir, const char *to, struct inode *target UNUSED,
                     unsigned flags)
{
    return hostfs_rename(from_dir, from, to_dir, to, flags);
}

static const struct inode_ops g_hostfs_ops = {
    .get_xattr = hostfs_get_xattr,
    .list_xattr = hostfs_list_xattr,
    .set_xattr = hostfs_set_xattr,
    .lookup = hostfs_lookup,
    .look = hostfs_look,
    .look_path = hostfs_look_path,
    .getattr = hostfs_getattr,
    .setattr = hostfs_setattr,
    .create = hostfs_create,
    .symlink = hostfs_symlink,
    .tmpfile = hostfs_tmpfile,
    .link = hostfs_link,
    .unlink = hostfs_unlink,
    .rename = rename_op,
    .readlink = hostfs_readlink,
    .open = hostfs_open,
    .release = hostfs_release,
};

static int statfs_of(struct superblock *sb, void *abi_statfs)
{
    const struct host_fs *fs = sb->data;
    return hostfs_statfs(fs->root, abi_statfs);
}

struct inode *hostfs_root(const char *grant, enum hostfs_mode mode, int *err)
{
    struct host_file *file = host_file_granted(g_platform, grant, err);
    if (!file)
        return NULL;
    struct host_stat st;
    *err = host_file_stat(g_platform, file, &st);
    struct superblock *sb = *err ? NULL : superblock_create("host", 0xef53, err);
    struct host_fs *fs = sb ? shim_zalloc(sizeof(*fs)) : NULL;
    struct inode *inode = NULL;
    if (fs) {
        fs->mode = mode;
        fs->root = file;
        sb->data = fs;
        sb->read_only = mode != HOSTFS_WRITABLE;
        sb->volatile_names = mode != HOSTFS_FIXED;
        sb->statfs = statfs_of;
        inode = hostfs_seen(sb, NULL, "", &st, err);
    } else if (*err == 0) {
        *err = -ENOMEM;
    }
    if (!inode) {
        shim_free(fs);
        shim_free(sb);
        host_file_close(g_platform, file);
        return NULL;
    }
    node_of(inode)->handle = file;
    node_of(inode)->pinned = true;
    return inode;
}
