/*
 * Names of AF_UNIX sockets: a node in the file system, known by device and inode number, or an abstract string.
 */
#include <asm/fcntl.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "platform/errno.h"
#include "shim/fs/dentry.h"
#include "shim/fs/unix_internal.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/shim.h"

struct binding_key {
    uint64_t dev, ino; /* 0: abstract */
    uint32_t size;
    char name[108];
};

struct socket_binding {
    UT_hash_handle hh;
    struct binding_key key;
    struct inode *inode;        /* owned, so that its number stays taken; NULL: abstract */
    struct unix_socket *socket; /* not owned: dropped before the socket goes */
};

static struct mutex g_socket_names_lock;
static struct socket_binding *g_bindings;

static bool is_abstract(const struct socket_address *a)
{
    return a->size > 2 && a->path[0] == 0;
}

static int binding_add(struct unix_socket *s, const struct binding_key *key, struct inode *inode)
{
    struct socket_binding *b = shim_zalloc(sizeof(*b)), *other;
    int r = 0;

    if (!b)
        return -ENOMEM;
    b->key = *key;
    b->inode = inode;
    b->socket = s;
    mutex_lock(&g_socket_names_lock);
    HASH_FIND(hh, g_bindings, key, sizeof(*key), other);
    if (other || s->binding) {
        r = other ? -EADDRINUSE : -EINVAL;
    } else {
        HASH_ADD(hh, g_bindings, key, sizeof(b->key), b);
        r = b->hh.tbl ? 0 : -ENOMEM;
        if (!r)
            s->binding = b;
    }
    mutex_unlock(&g_socket_names_lock);
    if (r)
        shim_free(b);
    else if (inode)
        inode_get(inode);
    return r;
}

static void abstract_key(const struct socket_address *a, struct binding_key *key)
{
    memset(key, 0, sizeof(*key));
    key->size = a->size;
    memcpy(key->name, a->path, a->size - 2);
}

static int path_key(struct inode *inode, struct binding_key *key)
{
    struct file_stat st;
    int r = inode_getattr(inode, &st);

    memset(key, 0, sizeof(*key));
    key->dev = st.dev;
    key->ino = st.ino;
    return r;
}

static int bind_path(struct task *task, struct unix_socket *s, const struct socket_address *address)
{
    struct binding_key key;
    struct path path;
    int r = vfs_mknod(task, AT_FDCWD, address->path, S_IFSOCK | (0777 & ~fs_umask(task->fs)), 0);

    if (r)
        return r == -EEXIST ? -EADDRINUSE : r;
    r = path_lookup(task, AT_FDCWD, address->path, 0, &path);
    if (r)
        return r;
    struct inode *inode = path.dentry->inode;
    r = path_key(inode, &key);
    if (!r)
        r = binding_add(s, &key, inode);
    path_put(&path);
    return r;
}

/* unix(7), autobind: a null byte and five hexadecimal digits. */
static int autobind(struct unix_socket *s)
{
    static uint32_t next;
    struct socket_address a = {.family = 1};
    struct binding_key key;
    int r;

    do {
        unsigned n = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) & 0xfffff;
        shim_snprintf(a.path + 1, 6, "%05x", n);
        a.size = 8;
        abstract_key(&a, &key);
        r = binding_add(s, &key, NULL);
    } while (r == -EADDRINUSE);
    if (!r)
        s->name = a;
    return r;
}

int unix_name_bind(struct task *task, struct unix_socket *s, const struct socket_address *address)
{
    struct binding_key key;
    int r;

    if (address->size <= 2)
        return autobind(s);
    if (is_abstract(address)) {
        abstract_key(address, &key);
        r = binding_add(s, &key, NULL);
    } else {
        r = bind_path(task, s, address);
    }
    if (!r) {
        mutex_lock(&s->lock);
        s->name = *address;
        if (address->path[0]) /* Linux tells the name with its terminating null */
            s->name.size = 2 + (unsigned)str_length(address->path) + 1;
        mutex_unlock(&s->lock);
    }
    return r;
}

int unix_name_wanted(struct task *task, struct unix_socket *s)
{
    static const struct socket_address any = {.family = AF_UNIX, .size = 2};
    bool wanted;
    int r;

    mutex_lock(&s->lock);
    wanted = s->set.pass_credentials && s->name.size <= 2;
    mutex_unlock(&s->lock);
    r = wanted ? unix_name_bind(task, s, &any) : 0;
    return r == -EINVAL ? 0 : r; /* another thread has just named it */
}

struct unix_socket *unix_name_find(struct task *task, const struct socket_address *address,
                                   int *err)
{
    struct unix_socket *s = NULL;
    struct socket_binding *b;
    struct binding_key key;
    struct path path;

    if (address->size <= 2) {
        *err = -EINVAL;
        return NULL;
    }
    if (is_abstract(address)) {
        abstract_key(address, &key);
    } else {
        *err = path_lookup(task, AT_FDCWD, address->path, LOOKUP_FOLLOW, &path);
        if (*err)
            return NULL;
        if (!S_ISSOCK(path.dentry->inode->mode))
            *err = -ECONNREFUSED;
        else
            *err = path_key(path.dentry->inode, &key);
        path_put(&path);
        if (*err)
            return NULL;
    }
    mutex_lock(&g_socket_names_lock);
    HASH_FIND(hh, g_bindings, &key, sizeof(key), b);
    if (b) {
        s = b->socket;
        unix_get(s);
    }
    mutex_unlock(&g_socket_names_lock);
    *err = s ? 0 : -ECONNREFUSED;
    return s;
}

void unix_name_drop(struct unix_socket *s)
{
    struct socket_binding *b;

    mutex_lock(&g_socket_names_lock);
    b = s->binding;
    if (b)
        HASH_DEL(g_bindings, b);
    s->binding = NULL;
    mutex_unlock(&g_socket_names_lock);
    if (b && b->inode)
        inode_put(b->inode);
    shim_free(b);
}
