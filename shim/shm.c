/*
 * shm.c: System V shared memory. A segment is a file of the nameless tmpfs; each shmat(2) maps it through an open file of its own, which
 * says whether it may be written and leads back to the segment. VMAs are the attachments that IPC_STAT counts.
 */
#include <asm/shmbuf.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/shm.h>

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/hash.h"
#include "shim/fs/dentry.h"
#include "shim/fs/file.h"
#include "shim/fs/memfs.h"
#include "shim/ipc.h"
#include "shim/mm.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/sys_ipc.h"
#include "shim/vma.h"

struct shm_segment {
    struct ipc_entry ipc;
    struct file *file; /* owned */
    uint64_t size;
    unsigned attached; /* VMAs, and calls of shmat(2) in progress */
    int creator_pid, last_pid;
    int64_t attach_s, detach_s, change_s;
};

/* Bits of shm_perm.mode above the permissions; libc has them, the UAPI headers do not. See shmctl(2). */
#define SHM_DEST 01000u
#define SHM_LOCKED 02000u

static struct ipc_table g_segments = {.max = SHM_MAX_SEGMENTS};
static uint64_t g_total_pages;

static struct shm_segment *segment_of(struct ipc_entry *entry)
{
    return (struct shm_segment *)entry;
}

static uint64_t pages_of(const struct shm_segment *s)
{
    return page_up(s->size) / VMA_PAGE;
}

/* ---- shmget ---- */

static struct ipc_entry *make_segment(struct task *task, const struct ipc_request *req, int *err)
{
    char name[24];
    if (req->size < 1 || req->size > SHM_MAX_SIZE) {
        *err = -EINVAL;
        return NULL;
    }
    if (req->flags & SHM_HUGETLB) {
        *err = -ENOMEM;
        return NULL;
    }
    struct shm_segment *s = shim_zalloc(sizeof(*s));
    if (!s) {
        *err = -ENOMEM;
        return NULL;
    }
    shim_snprintf(name, sizeof(name), "SYSV%08x", (unsigned)req->key);
    s->file = memfs_segment(name, page_up(req->size), s, err);
    if (!s->file) {
        if (*err == -EFBIG)
            *err = -ENOMEM;
        shim_free(s);
        return NULL;
    }
    s->size = req->size;
    s->creator_pid = task->process->pid;
    s->change_s = ipc_now_s();
    g_total_pages += pages_of(s);
    return &s->ipc;
}

static int check_segment(const struct ipc_entry *entry, const struct ipc_request *req)
{
    return req->size > ((const struct shm_segment *)entry)->size ? -EINVAL : 0;
}

/* shmget(2) */
long sys_shmget(struct task *task, const struct syscall_args *args)
{
    struct ipc_request req = {.key = (int32_t)args->a[0],
                              .flags = (unsigned)args->a[2],
                              .size = args->a[1],
                              .make = make_segment,
                              .check = check_segment};
    mutex_lock(&g_segments.lock);
    int id = ipc_get(task, &g_segments, &req);
    mutex_unlock(&g_segments.lock);
    return id;
}

/* ---- attachments ---- */

/* Under the lock: the last user of a removed segment went. Result: its file, for the caller to drop without the lock; NULL. */
static struct file *drop_if_unused(struct shm_segment *s)
{
    if (s->attached > 0 || !(s->ipc.mode & SHM_DEST))
        return NULL;
    struct file *file = s->file;
    g_total_pages -= pages_of(s);
    ipc_remove(&g_segments, &s->ipc);
    shim_free(s);
    return file;
}

void shm_attached(struct file *file)
{
    struct shm_segment *s = memfs_segment_of(file);
    const struct task *task = task_current();
    mutex_lock(&g_segments.lock);
    s->attached++;
    s->attach_s = ipc_now_s();
    s->last_pid = task ? task->process->pid : s->last_pid;
    mutex_unlock(&g_segments.lock);
}

void shm_detached(struct file *file)
{
    struct shm_segment *s = memfs_segment_of(file);
    const struct task *task = task_current();
    mutex_lock(&g_segments.lock);
    s->attached--;
    s->detach_s = ipc_now_s();
    s->last_pid = task ? task->process->pid : s->last_pid;
    struct file *unused = drop_if_unused(s);
    mutex_unlock(&g_segments.lock);
    if (unused)
        file_put(unused);
}

/* An open file of the segment's inode. Owner: caller. */
static struct file *open_again(const struct shm_segment *s, uint32_t access, int *err)
{
    struct file *f = file_create(s->file->ops, access, NULL, err);
    if (!f)
        return NULL;
    inode_get(s->file->inode);
    dentry_get(s->file->dentry);
    f->inode = s->file->inode;
    f->dentry = s->file->dentry;
    f->mount = s->file->mount;
    return f;
}

/* Find the segment, check the permission and keep it from going away. Owner: caller gets the file. */
static struct file *begin_attach(struct task *task, int id, unsigned flags, uint64_t *size,
                                 int *err)
{
    struct file *f = NULL;
    unsigned wanted = flags & SHM_RDONLY ? 0444 : 0666;
    if (flags & SHM_EXEC)
        wanted |= 0111;
    mutex_lock(&g_segments.lock);
    struct shm_segment *s = segment_of(ipc_find(&g_segments, id, err));
    if (s) {
        *err = ipc_permission(task, &s->ipc, wanted);
        if (*err == 0)
            f = open_again(s, flags & SHM_RDONLY ? O_RDONLY : O_RDWR, err);
        if (f) {
            s->attached++;
            *size = page_up(s->size);
        }
    }
    mutex_unlock(&g_segments.lock);
    return f;
}

static void end_attach(struct file *f)
{
    struct shm_segment *s = memfs_segment_of(f);
    mutex_lock(&g_segments.lock);
    s->attached--;
    struct file *unused = drop_if_unused(s);
    mutex_unlock(&g_segments.lock);
    file_put(f);
    if (unused)
        file_put(unused);
}

/* shmat(2) */
long sys_shmat(struct task *task, const struct syscall_args *args)
{
    int id = (int)args->a[0];
    uint64_t addr = args->a[1], size = 0;
    unsigned flags = (unsigned)args->a[2], map_flags = MAP_SHARED;
    unsigned prot =
        PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    if (id < 0)
        return -EINVAL;
    if (addr) {
        if (addr % VMA_PAGE && !(flags & SHM_RND))
            return -EINVAL;
        addr = page_down(addr);
        if (!addr && flags & SHM_REMAP)
            return -EINVAL;
        map_flags |= flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
        if (!addr)
            map_flags = MAP_SHARED;
    } else if (flags & SHM_REMAP) {
        return -EINVAL;
    }
    int err = 0;
    struct file *f = begin_attach(task, id, flags, &size, &err);
    if (!f)
        return err;
    int64_t at = mm_map(task->mm, addr, size, prot, map_flags, f, 0, VMA_SHM);
    end_attach(f);
    return at == -EEXIST ? -EINVAL : at;
}

/* shmdt(2) */
long sys_shmdt(struct task *task, const struct syscall_args *args)
{
    return args->a[0] % VMA_PAGE ? -EINVAL : mm_detach(task->mm, args->a[0]);
}

/* ---- shmctl ---- */

static long info(int command, uint64_t out)
{
    union {
        struct shminfo64 limits;
        struct shm_info use;
    } all = {.limits = {.shmmax = SHM_MAX_SIZE,
                        .shmmin = 1,
                        .shmmni = SHM_MAX_SEGMENTS,
                        .shmseg = SHM_MAX_SEGMENTS,
                        .shmall = SHM_MAX_SIZE}};
    mutex_lock(&g_segments.lock);
    if (command == SHM_INFO)
        all.use = (struct shm_info){
            .used_ids = (int)g_segments.used, .shm_tot = g_total_pages, .shm_rss = g_total_pages};
    int highest = ipc_highest(&g_segments);
    mutex_unlock(&g_segments.lock);
    size_t size = command == SHM_INFO ? sizeof(all.use) : sizeof(all.limits);
    return user_write(out, &all, size) ? -EFAULT : highest;
}

static long stat(struct task *task, int id, int command, uint64_t out)
{
    struct shmid64_ds ds;
    int err;
    mutex_lock(&g_segments.lock);
    struct shm_segment *s = segment_of(ipc_for_stat(task, &g_segments, id,
                                                    command == IPC_STAT   ? IPC_BY_ID
                                                    : command == SHM_STAT ? IPC_BY_SLOT
                                                                          : IPC_BY_SLOT_ANY,
                                                    &err));
    if (s) {
        ds = (struct shmid64_ds){.shm_segsz = s->size,
                                 .shm_atime = s->attach_s,
                                 .shm_dtime = s->detach_s,
                                 .shm_ctime = s->change_s,
                                 .shm_cpid = s->creator_pid,
                                 .shm_lpid = s->last_pid,
                                 .shm_nattch = s->attached};
        ipc_fill_perm(&s->ipc, &ds.shm_perm);
        id = command == IPC_STAT ? 0 : s->ipc.id;
    }
    mutex_unlock(&g_segments.lock);
    if (err)
        return err;
    return user_write(out, &ds, sizeof(ds)) ? -EFAULT : id;
}

static long change(struct task *task, int id, int command, uint64_t in)
{
    struct shmid64_ds ds;
    struct file *unused = NULL;
    int err = command == IPC_SET ? user_read(&ds, in, sizeof(ds)) : 0;
    if (err)
        return err;
    mutex_lock(&g_segments.lock);
    struct shm_segment *s = segment_of(ipc_find(&g_segments, id, &err));
    if (s)
        err = ipc_owner(task, &s->ipc);
    if (s && err == 0) {
        switch (command) {
        case IPC_RMID: /* the key is free at once, the memory when nobody has it attached */
            s->ipc.mode |= SHM_DEST;
            s->ipc.key = IPC_PRIVATE;
            unused = drop_if_unused(s);
            break;
        case IPC_SET:
            err = ipc_set_perm(&s->ipc, &ds.shm_perm);
            if (err == 0)
                s->change_s = ipc_now_s();
            break;
        case SHM_LOCK:
            s->ipc.mode |= SHM_LOCKED;
            break;
        case SHM_UNLOCK:
            s->ipc.mode &= ~SHM_LOCKED;
            break;
        }
    }
    mutex_unlock(&g_segments.lock);
    if (unused)
        file_put(unused);
    return err;
}

/* shmctl(2) */
long sys_shmctl(struct task *task, const struct syscall_args *args)
{
    int id = (int)args->a[0], command = (int)args->a[1];
    if (id < 0 || command < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
    case SHM_INFO:
        return info(command, args->a[2]);
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
        return stat(task, id, command, args->a[2]);
    case IPC_SET:
    case IPC_RMID:
    case SHM_LOCK:
    case SHM_UNLOCK:
        return change(task, id, command, args->a[2]);
    default:
        return -EINVAL;
    }
}

void shm_print(struct str_buf *out)
{
    str_buf_printf(
        out, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  "
             "cuid  cgid"
             "      atime      dtime      ctime                   rss                  swap\n");
    mutex_lock(&g_segments.lock);
    for (unsigned i = 0; i < g_segments.slot_count; i++) {
        const struct shm_segment *s = segment_of(g_segments.slots[i]);
        if (!s)
            continue;
        const struct ipc_entry *e = &s->ipc;
        str_buf_printf(
            out,
            "%10d %10d  %4o %21llu %5d %5d  %5u %5u %5u %5u %5u %10llu %10llu %10llu %21llu %21u\n",
            e->key, e->id, e->mode, (unsigned long long)s->size, s->creator_pid, s->last_pid,
            s->attached, e->uid, e->gid, e->cuid, e->cgid, (unsigned long long)s->attach_s,
            (unsigned long long)s->detach_s, (unsigned long long)s->change_s,
            (unsigned long long)(pages_of(s) * VMA_PAGE), 0u);
    }
    mutex_unlock(&g_segments.lock);
}
