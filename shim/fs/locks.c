/*
 * locks.c: advisory locks. One list per inode, under one lock of its own; waiters sleep on the
 * list's queue and try again. Who waits for whose record locks is kept in one list more, so that F_SETLKW can say EDEADLK.
 */
#include "shim/fs/locks.h"

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <asm/fcntl.h>

#include "platform/contract.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/fs/file.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"
#include "shim/syscall.h"

enum lock_kind { LOCK_KIND_POSIX, LOCK_KIND_OFD, LOCK_KIND_FLOCK };

struct lock {
    struct lock *prev, *next;
    enum lock_kind kind;
    uintptr_t
        owner; /* fd table for POSIX (shared by threads, not by fork), the open file otherwise */
    int pid;   /* as F_GETLK reports it; -1 for OFD */
    uint64_t start, end; /* inclusive; UINT64_MAX: to the end */
    bool exclusive;
};

struct flock_list {
    struct mutex lock;
    struct lock *head;
    struct wait_queue changed;
};

/* A process that sleeps in F_SETLKW, on the stack of its thread. */
struct blocked {
    struct blocked *prev, *next;
    const struct flock_list *list;
    uintptr_t owner, waits_for; /* 0: something changed since, it will look again */
};
static struct mutex g_blocked_lock; /* taken with a flock_list's lock held */
static struct blocked *g_blocked;
#define DEADLOCK_STEPS 10 /* as far as Linux looks */

static struct mutex g_create_lock; /* inode->locks from NULL to a list */

static struct flock_list *list_of(struct inode *inode)
{
    struct flock_list *list = __atomic_load_n(&inode->locks, __ATOMIC_ACQUIRE);
    if (list)
        return list;
    mutex_lock(&g_create_lock);
    list = inode->locks;
    if (!list) {
        list = shim_zalloc(sizeof(*list));
        __atomic_store_n(&inode->locks, list, __ATOMIC_RELEASE);
    }
    mutex_unlock(&g_create_lock);
    return list;
}

/* Record locks of both kinds exclude each other; flock locks are a world of their own. */
static bool same_world(enum lock_kind a, enum lock_kind b)
{
    return (a == LOCK_KIND_FLOCK) == (b == LOCK_KIND_FLOCK);
}

static struct lock *find_conflict(struct flock_list *list, const struct lock *want)
{
    struct lock *l;
    DL_FOREACH(list->head, l)
    {
        bool same_owner = l->kind == want->kind && l->owner == want->owner;
        if (!same_owner && same_world(l->kind, want->kind) && l->start <= want->end &&
            want->start <= l->end && (l->exclusive || want->exclusive))
            return l;
    }
    return NULL;
}

static int by_start(const struct lock *a, const struct lock *b)
{
    return a->start < b->start ? -1 : a->start > b->start;
}

/*
 * Take [start, end] away from what the owner holds. A lock that spans the range is split, for which
 * *spare is used (and set to NULL).
 */
static bool cut_owned(struct flock_list *list, const struct lock *range, struct lock **spare)
{
    bool changed = false;
    struct lock *l, *tmp;
    DL_FOREACH_SAFE(list->head, l, tmp)
    {
        if (l->kind != range->kind || l->owner != range->owner || l->start > range->end ||
            range->start > l->end)
            continue;
        changed = true;
        bool head = l->start < range->start;
        bool tail = l->end > range->end;
        if (head && tail) {
            struct lock *rest = *spare;
            PLATFORM_REQUIRE(rest != NULL); /* an owner's locks do not overlap: one split at most */
            *spare = NULL;
            PLATFORM_REQUIRE(rest); /* a range is inside one lock at most */
            *rest = *l;
            rest->start = range->end + 1;
            l->end = range->start - 1;
            DL_INSERT_INORDER(list->head, rest, by_start);
        } else if (head) {
            l->end = range->start - 1;
        } else if (tail) {
            l->start = range->end + 1;
        } else {
            DL_DELETE(list->head, l);
            shim_free(l);
        }
    }
    return changed;
}

/* Add to the list, in order, one with neighbours of the same owner and type. */
static void insert(struct flock_list *list, struct lock *fresh)
{
    struct lock *l, *tmp;
    DL_FOREACH_SAFE(list->head, l, tmp)
    {
        if (l->kind != fresh->kind || l->owner != fresh->owner || l->exclusive != fresh->exclusive)
            continue;
        bool before = l->end != UINT64_MAX && l->end + 1 == fresh->start;
        bool after = fresh->end != UINT64_MAX && fresh->end + 1 == l->start;
        if (!before && !after)
            continue;
        if (before)
            fresh->start = l->start;
        else
            fresh->end = l->end;
        DL_DELETE(list->head, l);
        shim_free(l);
    }
    DL_INSERT_INORDER(list->head, fresh, by_start);
}

/* Under list->lock: `b` would wait for `holder`. Whether that closes a circle. */
static bool block_on(struct blocked *b, uintptr_t holder)
{
    uintptr_t next = holder;

    mutex_lock(&g_blocked_lock);
    for (int i = 0; i < DEADLOCK_STEPS && next && next != b->owner; i++) {
        struct blocked *other;
        DL_FOREACH(g_blocked, other)
        if (other != b && other->owner == next && other->waits_for)
            break;
        next = other ? other->waits_for : 0;
    }
    bool circle = next == b->owner;
    b->waits_for = circle ? 0 : holder;
    mutex_unlock(&g_blocked_lock);
    return circle;
}

/* Under list->lock, after locks in it went: until its waiters have looked again they wait for nobody. */
static void unblock_all(const struct flock_list *list)
{
    struct blocked *b;

    mutex_lock(&g_blocked_lock);
    DL_FOREACH(g_blocked, b)
    if (b->list == list)
        b->waits_for = 0;
    mutex_unlock(&g_blocked_lock);
}

static void blocked_begin(struct blocked *b)
{
    mutex_lock(&g_blocked_lock);
    DL_APPEND(g_blocked, b);
    mutex_unlock(&g_blocked_lock);
}

static void blocked_end(struct blocked *b)
{
    mutex_lock(&g_blocked_lock);
    DL_DELETE(g_blocked, b);
    mutex_unlock(&g_blocked_lock);
}

/* flock(2): a conversion first lets go of what it had, and may end with nothing. */
static bool give_up_other_type(struct flock_list *list, const struct lock *want)
{
    struct lock *l, *spare = NULL;
    bool changed = false;
    mutex_lock(&list->lock);
    DL_FOREACH(list->head, l)
    if (l->kind == want->kind && l->owner == want->owner && l->exclusive != want->exclusive)
        break;
    if (l)
        changed = cut_owned(list, want, &spare);
    mutex_unlock(&list->lock);
    return changed;
}

enum lock_wait { LOCK_TRY, LOCK_SLEEP };

/* Lock, or unlock when `unlock`; want->owner etc. filled. */
static int apply(struct task *task, struct inode *inode, const struct lock *want, bool unlock,
                 enum lock_wait wait)
{
    struct flock_list *list = list_of(inode);
    if (!list)
        return -ENOLCK;
    struct lock *fresh = unlock ? NULL : shim_alloc(sizeof(*fresh));
    struct lock *spare = shim_alloc(sizeof(*spare));
    if ((!unlock && !fresh) || !spare) {
        shim_free(fresh);
        shim_free(spare);
        return -ENOLCK;
    }
    int err = 0;
    bool changed = false;
    struct waiter w = {0};
    struct blocked blocked = {.list = list, .owner = want->owner};
    bool may_deadlock = wait == LOCK_SLEEP && want->kind == LOCK_KIND_POSIX;
    if (wait == LOCK_SLEEP)
        wait_queue_add(&list->changed, &w);
    if (may_deadlock)
        blocked_begin(&blocked);
    if (want->kind == LOCK_KIND_FLOCK && !unlock)
        changed = give_up_other_type(list, want);
    for (;;) {
        mutex_lock(&list->lock);
        const struct lock *conflict = unlock ? NULL : find_conflict(list, want);
        if (!conflict) {
            changed |= cut_owned(list, want, &spare);
            if (changed)
                unblock_all(list);
            if (!unlock) {
                *fresh = *want;
                insert(list, fresh);
                fresh = NULL;
            }
            mutex_unlock(&list->lock);
            break;
        }
        bool circle = may_deadlock && conflict->kind == LOCK_KIND_POSIX &&
                      block_on(&blocked, conflict->owner);
        mutex_unlock(&list->lock);
        err = wait == LOCK_TRY ? -EAGAIN
              : circle         ? -EDEADLK
                               : task_sleep(task, THREAD_WAIT_FOREVER);
        if (err)
            break;
    }
    if (may_deadlock)
        blocked_end(&blocked);
    if (wait == LOCK_SLEEP)
        wait_queue_remove(&w);
    if (changed)
        wait_queue_wake_all(&list->changed);
    shim_free(fresh);
    shim_free(spare);
    return err;
}

/* struct flock to an inclusive range; fcntl(2). */
static int range_of(struct file *f, const struct flock *fl, struct lock *out)
{
    int64_t base = 0;
    if (fl->l_whence == SEEK_CUR) {
        base = (int64_t)f->pos;
    } else if (fl->l_whence == SEEK_END) {
        struct file_stat st;
        int err = file_stat(f, &st);
        if (err)
            return err;
        base = (int64_t)st.size;
    } else if (fl->l_whence != SEEK_SET) {
        return -EINVAL;
    }
    int64_t start, end;
    if (__builtin_add_overflow(base, fl->l_start, &start))
        return -EOVERFLOW;
    if (fl->l_len > 0) {
        if (__builtin_add_overflow(start, fl->l_len - 1, &end))
            return -EOVERFLOW;
        out->end = (uint64_t)end;
    } else if (fl->l_len < 0) {
        end = start - 1;
        if (__builtin_add_overflow(start, fl->l_len, &start))
            return -EINVAL;
        out->end = (uint64_t)end;
    } else {
        out->end = UINT64_MAX;
    }
    if (start < 0)
        return -EINVAL;
    out->start = (uint64_t)start;
    return 0;
}

static int get_lock(struct file *f, const struct lock *want, uint64_t arg, struct flock *fl)
{
    struct flock_list *list = list_of(f->inode);
    if (!list)
        return -ENOLCK;
    mutex_lock(&list->lock);
    struct lock *l = find_conflict(list, want);
    if (l) {
        fl->l_type = l->exclusive ? F_WRLCK : F_RDLCK;
        fl->l_whence = SEEK_SET;
        fl->l_start = (int64_t)l->start;
        fl->l_len = l->end == UINT64_MAX ? 0 : (int64_t)(l->end - l->start + 1);
        fl->l_pid = l->pid;
    } else {
        fl->l_type = F_UNLCK;
    }
    mutex_unlock(&list->lock);
    return user_write(arg, fl, sizeof(*fl));
}

int locks_fcntl(struct task *task, struct file *f, int cmd, uint64_t arg)
{
    struct flock fl;
    int err = user_read(&fl, arg, sizeof(fl));
    if (err)
        return err;
    if (!f->inode)
        return -EINVAL;
    bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
    if (ofd && fl.l_pid != 0)
        return -EINVAL;
    struct lock want = {
        .kind = ofd ? LOCK_KIND_OFD : LOCK_KIND_POSIX,
        .owner = ofd ? (uintptr_t)f : (uintptr_t)task->files,
        .pid = ofd ? -1 : task->process->pid,
        .exclusive = fl.l_type == F_WRLCK,
    };
    err = range_of(f, &fl, &want);
    if (err)
        return err;
    if (cmd == F_GETLK || cmd == F_OFD_GETLK)
        return fl.l_type == F_UNLCK ? -EINVAL : get_lock(f, &want, arg, &fl);
    uint32_t access = f->flags & O_ACCMODE;
    switch (fl.l_type) {
    case F_RDLCK:
        if (access == O_WRONLY)
            return -EBADF;
        break;
    case F_WRLCK:
        if (access == O_RDONLY)
            return -EBADF;
        break;
    case F_UNLCK:
        break;
    default:
        return -EINVAL;
    }
    bool sleeps = cmd == F_SETLKW || cmd == F_OFD_SETLKW;
    return apply(task, f->inode, &want, fl.l_type == F_UNLCK, sleeps ? LOCK_SLEEP : LOCK_TRY);
}

int locks_flock(struct task *task, struct file *f, int operation)
{
    if (!f->inode)
        return -EBADF;
    struct lock want = {.kind = LOCK_KIND_FLOCK, .owner = (uintptr_t)f, .end = UINT64_MAX};
    enum lock_wait wait = operation & LOCK_NB ? LOCK_TRY : LOCK_SLEEP;
    switch (operation & ~LOCK_NB) {
    case LOCK_SH:
        return apply(task, f->inode, &want, false, wait);
    case LOCK_EX:
        want.exclusive = true;
        return apply(task, f->inode, &want, false, wait);
    case LOCK_UN:
        return apply(task, f->inode, &want, true, LOCK_TRY);
    default:
        return -EINVAL;
    }
}

static void drop_owned(struct inode *inode, enum lock_kind kind, uintptr_t owner)
{
    struct flock_list *list = __atomic_load_n(&inode->locks, __ATOMIC_ACQUIRE);
    if (!list || !__atomic_load_n(&list->head, __ATOMIC_RELAXED))
        return;
    struct lock all = {.kind = kind, .owner = owner, .end = UINT64_MAX};
    struct lock *spare = NULL; /* the whole range splits nothing */
    mutex_lock(&list->lock);
    bool changed = cut_owned(list, &all, &spare);
    if (changed)
        unblock_all(list);
    mutex_unlock(&list->lock);
    if (changed)
        wait_queue_wake_all(&list->changed);
}

void locks_close_posix(const struct fd_table *table, struct file *f)
{
    drop_owned(f->inode, LOCK_KIND_POSIX, (uintptr_t)table);
}

void locks_release_file(struct file *f)
{
    drop_owned(f->inode, LOCK_KIND_OFD, (uintptr_t)f);
    drop_owned(f->inode, LOCK_KIND_FLOCK, (uintptr_t)f);
}

void locks_free(struct inode *inode)
{
    struct flock_list *list = inode->locks;
    if (!list)
        return;
    struct lock *l, *tmp;
    DL_FOREACH_SAFE(list->head, l, tmp)
    {
        DL_DELETE(list->head, l);
        shim_free(l);
    }
    shim_free(list);
    inode->locks = NULL;
}
