/*
 * /proc: how tables become directories, files and links. A lookup makes a new inode each time; numbers are derived from what the
 * name is about, so they stay the same.
 */
#include "shim/fs/procfs.h"

#include <asm/fcntl.h>
#include <linux/magic.h>

#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/fs/namei.h"
#include "shim/fs/transfer.h"
#include "shim/mm.h"
#include "shim/process_tree.h"
#include "shim/shim.h"

/* ---- processes -------------------------------------------------------------------------------------------------- */

struct process *proc_process(const struct proc_target *t)
{
    struct process *p = process_find(t->pid);
    return p && p->start_ns == t->start_ns ? p : NULL;
}

struct task *proc_task(const struct proc_target *t)
{
    struct process *p = proc_process(t);
    struct task *task;

    if (!p || p->state == PROCESS_REAPED)
        return NULL;
    if (!t->tid)
        return p->tasks;
    DL_FOREACH(p->tasks, task)
    if (task->tid == t->tid)
        return task;
    return NULL;
}

/* The field must be cleared under g_process_lock before its owner drops the reference. */
#define PROC_GET(member, get)                                                                      \
    do {                                                                                           \
        struct task *task;                                                                         \
        mutex_lock(&g_process_lock);                                                               \
        task = proc_task(t);                                                                       \
        *member = task ? task->member : NULL;                                                      \
        if (*member)                                                                               \
            get(*member);                                                                          \
        mutex_unlock(&g_process_lock);                                                             \
        return *member != NULL;                                                                    \
    } while (0)

bool proc_get_mm(const struct proc_target *t, struct mm **mm)
{
    PROC_GET(mm, mm_get);
}

bool proc_get_files(const struct proc_target *t, struct fd_table **files)
{
    PROC_GET(files, fd_table_get);
}

bool proc_get_fs(const struct proc_target *t, struct fs_state **fs)
{
    PROC_GET(fs, fs_state_get);
}

void proc_put_mm(struct mm *mm)
{
    struct aspace *none = mm_put(mm, MM_DROP_OUTSIDE);

    PLATFORM_REQUIRE(none == NULL);
}

/* ---- inodes ----------------------------------------------------------------------------------------------------- */

static const struct inode_ops proc_inode_ops, proc_link_ops, proc_magic_link_ops;
static const struct file_ops proc_dir_ops, proc_text_ops;

static uint64_t proc_ino(const struct proc_target *t)
{
    uint64_t h = (uint64_t)(uintptr_t)t->entry;

    h = (h ^ (uint64_t)t->pid) * 0x9e3779b97f4a7c15u;
    h = (h ^ (uint64_t)t->tid ^ h >> 32) * 0x9e3779b97f4a7c15u;
    h = (h ^ (uint64_t)(t->fd + 1) ^ h >> 32) * 0x9e3779b97f4a7c15u;
    return (h >> 24) + 2;
}

static struct inode *proc_inode(struct superblock *sb, const struct proc_target *t, int *err)
{
    const struct proc_entry *e = t->entry;
    struct proc_target *copy = shim_alloc(sizeof(*copy));
    struct inode *inode;

    if (!copy) {
        *err = -ENOMEM;
        return NULL;
    }
    *copy = *t;
    const struct inode_ops *ops = !S_ISLNK(e->mode) ? &proc_inode_ops
                                  : e->follow       ? &proc_magic_link_ops
                                                    : &proc_link_ops;
    inode = inode_create(sb, ops, e->mode, copy, err);
    if (!inode) {
        shim_free(copy);
        return NULL;
    }
    inode->ino = proc_ino(t);
    if (S_ISDIR(e->mode))
        inode->file_ops = &proc_dir_ops;
    else if (S_ISREG(e->mode))
        inode->file_ops = e->file_ops ? e->file_ops : &proc_text_ops;
    return inode;
}

static const struct proc_entry *find_child(const struct proc_entry *dir, const char *name)
{
    for (const struct proc_entry *e = dir->children; e && e->name; e++)
        if (str_equal(e->name, name))
            return e;
    return NULL;
}

static struct inode *proc_lookup(struct inode *dir, const char *name, struct file_stat *seen UNUSED,
                                 int *err)
{
    const struct proc_target *t = dir->data;
    const struct proc_entry *child = find_child(t->entry, name);
    struct proc_target target = *t;
    bool alive = true;

    if (t->pid) {
        mutex_lock(&g_process_lock);
        alive = proc_process(t) != NULL;
        mutex_unlock(&g_process_lock);
    }
    if (alive && child) {
        target.entry = child;
        return proc_inode(dir->sb, &target, err);
    }
    if (alive && t->entry->dynamic && t->entry->dynamic->lookup(t, name, &target))
        return proc_inode(dir->sb, &target, err);
    *err = alive || t->entry != &g_proc_process ? -ENOENT : -ESRCH;
    return NULL;
}

/* 0, -EACCES, or -ESRCH. */
static int may_look_into(const struct task *task, const struct proc_target *t)
{
    int r = 0;

    if (!t->pid)
        return 0;
    mutex_lock(&g_process_lock);
    const struct process *p = proc_process(t);
    if (!p)
        r = -ESRCH;
    else if (!process_may_look_into(task->process, p))
        r = -EACCES;
    mutex_unlock(&g_process_lock);
    return r;
}

/* What the tables do not have cannot be made: Linux says that it is not there, not that it is forbidden. */
static struct inode *proc_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                                 uint32_t uid, uint32_t gid, int *err)
{
    (void)dir, (void)name, (void)mode, (void)rdev, (void)uid, (void)gid;
    *err = -ENOENT;
    return NULL;
}

static int proc_getattr(struct inode *inode, struct file_stat *out)
{
    const struct proc_target *t = inode->data;
    int64_t now = (int64_t)clock_now(g_platform, CLOCK_KIND_REALTIME);

    out->atime_ns = out->mtime_ns = out->ctime_ns = out->btime_ns = now;
    out->block_size = 1024;
    if (S_ISDIR(inode->mode))
        out->nlink = 2;
    if (t->entry->dynamic == &g_proc_task_dynamic) {
        uint64_t offset = 0;
        unsigned tid;
        while (g_proc_task_dynamic.next(t, &offset, &tid))
            out->nlink++;
    }
    if (S_ISLNK(inode->mode))
        out->size = 64;
    if (t->pid) {
        mutex_lock(&g_process_lock);
        struct process *p = proc_process(t);
        if (p) {
            out->uid = p->euid;
            out->gid = p->egid;
        }
        mutex_unlock(&g_process_lock);
    }
    return 0;
}

/* Attributes of /proc cannot be changed; truncation by open(O_TRUNC) or > is accepted, as in Linux. */
static int proc_setattr(struct inode *inode, unsigned mask, const struct file_stat *attr)
{
    (void)inode, (void)attr;
    return mask & ~(unsigned)HOST_SET_SIZE ? -EPERM : 0;
}

static int proc_readlink(struct inode *inode, char *out, size_t size)
{
    const struct proc_target *t = inode->data;
    struct task *task = task_current();
    int r = may_look_into(task, t);

    return r ? r : t->entry->readlink(task, t, out, size);
}

static int proc_follow(struct task *task, struct inode *inode, struct path *out)
{
    const struct proc_target *t = inode->data;
    int r = may_look_into(task, t);

    return r ? r : t->entry->follow(task, t, out);
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

struct proc_text {
    struct mutex lock;
    struct str_buf text;
    bool made;
};

const struct proc_target *proc_file_target(struct file *f)
{
    return f->inode->data;
}

bool proc_is_process(const struct file *f)
{
    if (f->ops != &proc_dir_ops)
        return false;
    const struct proc_target *t = f->inode->data;
    return t->entry == &g_proc_process && !t->tid;
}

struct process *proc_file_process(const struct file *f)
{
    return proc_process(f->inode->data);
}

static int proc_open(struct task *task, struct inode *inode, struct file *f)
{
    const struct proc_target *t = inode->data;
    int r = t->entry->guarded ? may_look_into(task, t) : 0;

    if (r || !S_ISREG(inode->mode) || t->entry->file_ops)
        return r;
    f->data = shim_zalloc(sizeof(struct proc_text));
    return f->data ? 0 : -ENOMEM;
}

static int64_t proc_text_read(struct task *task, struct file *f, struct mem_ref into,
                              uint64_t *offset)
{
    const struct proc_target *t = proc_file_target(f);
    struct proc_text *p = f->data;
    int64_t r = 0;

    if (!t->entry->print)
        return -EINVAL;
    mutex_lock(&p->lock);
    if (*offset == 0 || !p->made) { /* a reader that starts again sees how things are now */
        str_buf_free(&p->text);
        p->text = (struct str_buf){0};
        r = t->entry->print(task, t, &p->text);
        if (p->text.failed)
            r = -ENOMEM;
        p->made = r == 0;
    }
    if (!r && *offset < p->text.length) {
        size_t size = p->text.length - *offset;
        if (size > into.size)
            size = into.size;
        size_t moved = transfer_out(into, p->text.data + *offset, size);
        r = moved || !size ? (int64_t)moved : -EFAULT;
        *offset += moved;
    }
    mutex_unlock(&p->lock);
    return r;
}

static int64_t proc_text_write(struct task *task, struct file *f, struct mem_ref from,
                               uint64_t *offset)
{
    const struct proc_target *t = proc_file_target(f);
    char text[256];
    int64_t r;

    (void)offset;
    if (!t->entry->write)
        return -EIO;
    if (from.size >= sizeof(text))
        return -EINVAL;
    if (transfer_in(text, from, from.size) != from.size)
        return -EFAULT;
    text[from.size] = 0;
    r = t->entry->write(task, t, text, from.size);
    return r ? r : (int64_t)from.size;
}

static int64_t proc_seek(struct task *task, struct file *f, int64_t offset, int whence)
{
    (void)task;
    if (whence != 0 && whence != 1)
        return -EINVAL; /* the text has no end before it is made */
    return file_seek_in(f, offset, whence, 0);
}

static void proc_text_release(struct file *f)
{
    struct proc_text *p = f->data;

    str_buf_free(&p->text);
    shim_free(p);
}

static const struct file_ops proc_text_ops = {
    .kind = "proc",
    .read = proc_text_read,
    .write = proc_text_write,
    .seek = proc_seek,
    .release = proc_text_release,
};

/* ---- directories ------------------------------------------------------------------------------------------------ */

/* Offsets: 1.. the table's entries, from DYNAMIC on what the directory's own function says. */
#define DYNAMIC_OFFSET (1ull << 16)

static unsigned dirent_type(uint32_t mode)
{
    return (mode & S_IFMT) >> 12;
}

static int proc_readdir(struct task *task, struct file *f, uint64_t *offset, dir_emit emit,
                        void *arg)
{
    const struct proc_target *t = proc_file_target(f);
    const struct proc_entry *e = t->entry->children;
    struct proc_target child = *t;
    char name[12];
    unsigned number;

    (void)task;
    if (*offset < DYNAMIC_OFFSET) {
        for (uint64_t i = 0; e && e->name; e++, i++) {
            if (i < *offset)
                continue;
            child.entry = e;
            if (emit(arg, e->name, str_length(e->name), proc_ino(&child), dirent_type(e->mode),
                     i + 1))
                return 0;
            *offset = i + 1;
        }
        *offset = DYNAMIC_OFFSET;
    }
    if (!t->entry->dynamic)
        return 0;
    for (uint64_t at = *offset - DYNAMIC_OFFSET; t->entry->dynamic->next(t, &at, &number);) {
        size_t length = (size_t)shim_snprintf(name, sizeof(name), "%u", number);
        if (!t->entry->dynamic->lookup(t, name, &child))
            continue; /* gone since */
        if (emit(arg, name, length, proc_ino(&child), dirent_type(child.entry->mode),
                 DYNAMIC_OFFSET + at))
            return 0;
        *offset = DYNAMIC_OFFSET + at;
    }
    return 0;
}

static int64_t proc_dir_seek(struct task *task, struct file *f, int64_t offset, int whence)
{
    return proc_seek(task, f, offset, whence);
}

static const struct file_ops proc_dir_ops = {
    .kind = "proc",
    .seek = proc_dir_seek,
    .readdir = proc_readdir,
};

static void proc_release(struct inode *inode)
{
    shim_free(inode->data);
}

static const struct inode_ops proc_inode_ops = {
    .lookup = proc_lookup,
    .create = proc_create,
    .getattr = proc_getattr,
    .setattr = proc_setattr,
    .open = proc_open,
    .release = proc_release,
};
static const struct inode_ops proc_link_ops = {
    .getattr = proc_getattr,
    .readlink = proc_readlink,
    .release = proc_release,
};
static const struct inode_ops proc_magic_link_ops = {
    .getattr = proc_getattr,
    .readlink = proc_readlink,
    .follow = proc_follow,
    .release = proc_release,
};

/* ---- the root --------------------------------------------------------------------------------------------------- */

static bool root_lookup(const struct proc_target *dir, const char *name, struct proc_target *out)
{
    uint64_t pid;

    (void)dir;
    if (name[0] == '0' || name[0] == '+' || !str_to_u64(name, &pid) || pid > INT32_MAX)
        return false;
    mutex_lock(&g_process_lock);
    const struct process *p = process_find((int)pid);
    const struct task *thread = p ? NULL : task_find((int)pid);
    if (thread)
        p = thread->process;
    if (p)
        *out = (struct proc_target){.entry = &g_proc_process,
                                    .pid = p->pid,
                                    .tid = thread ? (int)pid : 0,
                                    .fd = -1,
                                    .start_ns = p->start_ns};
    mutex_unlock(&g_process_lock);
    return p;
}

/* Smallest pid above *offset: the tree has no order by number. */
static bool root_next(const struct proc_target *dir, uint64_t *offset, unsigned *name)
{
    int best = INT32_MAX;

    (void)dir;
    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if ((uint64_t)p->pid > *offset && p->pid < best)
            best = p->pid;
    mutex_unlock(&g_process_lock);
    *offset = (uint64_t)best;
    *name = (unsigned)best;
    return best != INT32_MAX;
}

static const struct proc_dynamic root_dynamic = {root_lookup, root_next};
static const struct proc_entry root_entry =
    PROC_DIR("", .children = g_proc_root_children, .dynamic = &root_dynamic);

struct inode *procfs_root(int *err)
{
    struct superblock *sb = superblock_create("proc", PROC_SUPER_MAGIC, err);
    struct proc_target target = {.entry = &root_entry, .fd = -1};
    struct inode *root;

    if (!sb)
        return NULL;
    sb->volatile_names = true;
    root = proc_inode(sb, &target, err);
    if (!root)
        shim_free(sb);
    else
        root->ino = 1;
    return root;
}
