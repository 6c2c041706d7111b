/*
 * inode.c: inodes, superblocks, permissions, and the working directory and root of tasks.
 */
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/inotify.h>
#include <linux/securebits.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "platform/host_file.h"
#include "shim/base/alloc.h"
#include "shim/fs/inotify.h"
#include "shim/fs/locks.h"
#include "shim/fs/namei.h"
#include "shim/process.h"
#include "shim/shim.h"

static uint64_t g_next_device = 0x20;

uint64_t fs_now_ns(void)
{
    return clock_now(g_platform, CLOCK_KIND_REALTIME);
}

struct superblock *superblock_create(const char *type, uint64_t magic, int *err)
{
    struct superblock *sb = shim_zalloc(sizeof(*sb));
    if (!sb) {
        *err = -ENOMEM;
        return NULL;
    }
    sb->type = type;
    sb->magic = magic;
    sb->next_ino = 2;
    sb->dev = __atomic_fetch_add(&g_next_device, 1, __ATOMIC_RELAXED);
    return sb;
}

struct inode *inode_create(struct superblock *sb, const struct inode_ops *ops, uint32_t mode,
                           void *data, int *err)
{
    struct inode *inode = shim_zalloc(sizeof(*inode));
    if (!inode) {
        *err = -ENOMEM;
        return NULL;
    }
    inode->refs = 1;
    inode->ops = ops;
    inode->sb = sb;
    inode->ino = __atomic_fetch_add(&sb->next_ino, 1, __ATOMIC_RELAXED);
    inode->mode = mode;
    inode->data = data;
    return inode;
}

void inode_get(struct inode *inode)
{
    __atomic_fetch_add(&inode->refs, 1, __ATOMIC_RELAXED);
}

bool inode_get_unless_gone(struct inode *inode)
{
    uint32_t refs = __atomic_load_n(&inode->refs, __ATOMIC_RELAXED);
    while (refs != 0)
        if (__atomic_compare_exchange_n(&inode->refs, &refs, refs + 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

void inode_put(struct inode *inode)
{
    if (__atomic_sub_fetch(&inode->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (inode->fifo)
        fifo_release(inode);
    locks_free(inode);
    if (inode->ops->release)
        inode->ops->release(inode);
    shim_free(inode);
}

/* writers moves by `step` unless it has the other sign. */
static int take_turn(struct inode *inode, int32_t step)
{
    int32_t now = __atomic_load_n(&inode->writers, __ATOMIC_RELAXED);
    do {
        if ((step > 0 && now < 0) || (step < 0 && now > 0))
            return -ETXTBSY;
    } while (!__atomic_compare_exchange_n(&inode->writers, &now, now + step, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return 0;
}

int inode_want_write(struct inode *inode)
{
    return take_turn(inode, 1);
}

void inode_end_write(struct inode *inode)
{
    __atomic_fetch_sub(&inode->writers, 1, __ATOMIC_RELEASE);
}

int inode_want_execute(struct inode *inode)
{
    return take_turn(inode, -1);
}

void inode_end_execute(struct inode *inode)
{
    __atomic_fetch_add(&inode->writers, 1, __ATOMIC_RELEASE);
}

int inode_getattr(struct inode *inode, struct file_stat *out)
{
    memset(out, 0, sizeof(*out));
    out->dev = inode->sb->dev;
    out->ino = inode->ino;
    out->mode = inode->mode;
    out->nlink = 1;
    out->block_size = 4096;
    return inode->ops->getattr ? inode->ops->getattr(inode, out) : 0;
}

struct credentials task_credentials(const struct task *task)
{
    const struct process *p = task->process;
    return (struct credentials){
        .uid = p->fsuid, .gid = p->fsgid, .caps = p->caps.effective, .process = p};
}

struct credentials task_real_credentials(const struct task *task)
{
    const struct process *p = task->process;
    uint64_t caps = p->uid ? 0 : p->caps.permitted;
    if (p->caps.securebits & SECBIT_NO_SETUID_FIXUP)
        caps = p->caps.effective;
    return (struct credentials){.uid = p->uid, .gid = p->gid, .caps = caps, .process = p};
}

static bool in_group(const struct credentials *who, uint32_t gid)
{
    if (who->gid == gid)
        return true;
    for (unsigned i = 0; i < who->process->group_count; i++)
        if (who->process->groups[i] == gid)
            return true;
    return false;
}

unsigned credentials_granted(const struct credentials *who, uint32_t mode, uint32_t uid,
                             uint32_t gid)
{
    if (uid == who->uid)
        mode >>= 6;
    else if (in_group(who, gid))
        mode >>= 3;
    return mode & 7;
}

int inode_permission(const struct credentials *who, struct inode *inode, unsigned access)
{
    if (credentials_capable(who, CAP_DAC_OVERRIDE)) {
        /* Everything but executing what nobody may execute. */
        if ((access & INODE_EXEC) && !S_ISDIR(inode->mode) && !(inode->mode & 0111))
            return -EACCES;
        return 0;
    }
    struct file_stat st;
    int err = inode_getattr(inode, &st);
    if (err)
        return err;
    if (!(access & 7 & ~credentials_granted(who, st.mode, st.uid, st.gid)))
        return 0;
    unsigned searches = S_ISDIR(inode->mode) ? INODE_READ | INODE_EXEC : INODE_READ;
    return credentials_capable(who, CAP_DAC_READ_SEARCH) && !(access & ~searches) ? 0 : -EACCES;
}

int path_want_write(const struct path *path)
{
    return mount_flags(path->mount) & MS_RDONLY || path->dentry->inode->sb->read_only ? -EROFS : 0;
}

int path_permission(const struct credentials *who, const struct path *path, unsigned access)
{
    struct inode *inode = path->dentry->inode;
    bool stored = S_ISREG(inode->mode) || S_ISDIR(inode->mode) || S_ISLNK(inode->mode);
    if ((access & INODE_WRITE) && stored) {
        int err = path_want_write(path);
        if (err)
            return err;
    }
    return inode_permission(who, inode, access);
}

/* chmod(2), chown(2), utimensat(2): who may. */
static int may_setattr(const struct credentials *who, struct inode *inode, unsigned mask,
                       const struct file_stat *attr, enum setattr_origin origin)
{
    const uint64_t all = 1ull << CAP_CHOWN | 1ull << CAP_FOWNER | 1ull << CAP_DAC_OVERRIDE;
    if ((who->caps & all) == all)
        return 0;
    struct file_stat st;
    int err = inode_getattr(inode, &st);
    if (err)
        return err;
    bool owner = st.uid == who->uid;
    if ((mask & HOST_SET_MODE) && !owner && !credentials_capable(who, CAP_FOWNER))
        return -EPERM;
    if ((mask & HOST_SET_OWNER) && !credentials_capable(who, CAP_CHOWN)) {
        bool keeps_uid = attr->uid == UINT32_MAX || attr->uid == st.uid;
        bool gid_ok = attr->gid == UINT32_MAX || in_group(who, attr->gid);
        if (!owner || !keeps_uid || !gid_ok)
            return -EPERM;
    }
    if ((mask & HOST_SET_TIMES) && !owner && !credentials_capable(who, CAP_FOWNER)) {
        if (origin == SETATTR_EXPLICIT)
            return -EPERM;
        return inode_permission(who, inode, INODE_WRITE);
    }
    if (mask & HOST_SET_SIZE)
        return inode_permission(who, inode, INODE_WRITE);
    return 0;
}

/* Linux takes a change of one of the times for what it stands for, fsnotify_change() */
static uint32_t setattr_event(unsigned mask, const struct file_stat *attr)
{
    uint32_t event = mask & (HOST_SET_MODE | HOST_SET_OWNER) ? IN_ATTRIB : 0;
    if (mask & HOST_SET_SIZE)
        event |= IN_MODIFY;
    if (mask & HOST_SET_TIMES)
        event |= attr->atime_ns == INT64_MIN   ? IN_MODIFY
                 : attr->mtime_ns == INT64_MIN ? IN_ACCESS
                                               : IN_ATTRIB;
    return event;
}

int vfs_setattr(struct task *task, const struct path *path, unsigned mask,
                const struct file_stat *attr, enum setattr_origin origin)
{
    struct inode *inode = path->dentry->inode;
    if (path->mount == &g_anon_mount)
        return inode->ops->setattr ? inode->ops->setattr(inode, mask, attr) : -EPERM;
    int err = path_want_write(path);
    if (err)
        return err;
    struct credentials who = task_credentials(task);
    err = may_setattr(&who, inode, mask, attr, origin);
    if (err)
        return err;
    if (!inode->ops->setattr)
        return -EPERM;
    struct file_stat change = *attr;
    if ((mask & HOST_SET_OWNER) && !(mask & HOST_SET_MODE) && S_ISREG(inode->mode) &&
        (inode->mode & 06000)) {
        /* chown(2): an executable loses set-id bits with its owner. */
        change.mode = inode->mode & 07777 & ~04000u;
        if (inode->mode & 010)
            change.mode &= ~02000u;
        mask |= HOST_SET_MODE;
    }
    err = inode->ops->setattr(inode, mask, &change);
    if (err == 0)
        notify_dentry(path->dentry, setattr_event(mask, attr));
    return err;
}

struct fs_state {
    uint32_t refs;
    struct mutex lock; /* below; short: pointers are copied under it */
    struct path root, cwd;
    uint32_t umask;
};

struct fs_state *fs_state_create(int *err)
{
    struct fs_state *fs = shim_zalloc(sizeof(*fs));
    if (!fs) {
        *err = -ENOMEM;
        return NULL;
    }
    fs->refs = 1;
    fs->umask = 022;
    fs->root = (struct path){g_root_mount, g_root_mount->root};
    fs->cwd = fs->root;
    path_get(&fs->root);
    path_get(&fs->cwd);
    return fs;
}

struct fs_state *fs_state_copy(struct fs_state *from, int *err)
{
    struct fs_state *fs = shim_zalloc(sizeof(*fs));
    if (!fs) {
        *err = -ENOMEM;
        return NULL;
    }
    fs->refs = 1;
    fs_get_root(from, &fs->root);
    fs_get_cwd(from, &fs->cwd);
    fs->umask = fs_umask(from);
    return fs;
}

void fs_state_get(struct fs_state *fs)
{
    __atomic_fetch_add(&fs->refs, 1, __ATOMIC_RELAXED);
}

void fs_state_put(struct fs_state *fs)
{
    if (__atomic_sub_fetch(&fs->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    path_put(&fs->root);
    path_put(&fs->cwd);
    shim_free(fs);
}

uint32_t fs_umask(struct fs_state *fs)
{
    return __atomic_load_n(&fs->umask, __ATOMIC_RELAXED);
}

uint32_t fs_set_umask(struct fs_state *fs, uint32_t mask)
{
    return __atomic_exchange_n(&fs->umask, mask & 0777, __ATOMIC_RELAXED);
}

static void get_place(struct fs_state *fs, const struct path *from, struct path *out)
{
    mutex_lock(&fs->lock);
    *out = *from;
    path_get(out);
    mutex_unlock(&fs->lock);
}

static void set_place(struct fs_state *fs, struct path *to, const struct path *path)
{
    path_get(path);
    mutex_lock(&fs->lock);
    struct path old = *to;
    *to = *path;
    mutex_unlock(&fs->lock);
    path_put(&old);
}

static bool use_place(struct fs_state *fs, const struct path *from, struct path *out)
{
    bool shared = __atomic_load_n(&fs->refs, __ATOMIC_ACQUIRE) != 1;
    if (shared)
        get_place(fs, from, out);
    else
        *out = *from;
    return shared;
}

bool fs_use_root(struct fs_state *fs, struct path *out)
{
    return use_place(fs, &fs->root, out);
}

bool fs_use_cwd(struct fs_state *fs, struct path *out)
{
    return use_place(fs, &fs->cwd, out);
}

void fs_get_root(struct fs_state *fs, struct path *out)
{
    get_place(fs, &fs->root, out);
}

void fs_get_cwd(struct fs_state *fs, struct path *out)
{
    get_place(fs, &fs->cwd, out);
}

void fs_set_root(struct fs_state *fs, const struct path *path)
{
    set_place(fs, &fs->root, path);
}

void fs_set_cwd(struct fs_state *fs, const struct path *path)
{
    set_place(fs, &fs->cwd, path);
}

void path_get(const struct path *path)
{
    dentry_get(path->dentry);
}

void path_put(struct path *path)
{
    if (path->dentry)
        dentry_put(path->dentry);
    path->dentry = NULL;
    path->mount = NULL;
}
