/*
 * ipc.c: tables of System V IPC objects. An id is a slot's index and a sequence number, so that the id of a removed object is not
 * soon that of another.
 */
#include "shim/ipc.h"

#include <asm/ipcbuf.h>
#include <linux/capability.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/process.h"
#include "shim/shim.h"

#define INDEX_BITS 15u
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
#define SEQUENCE_MASK 0xffffu

int64_t ipc_now_s(void)
{
    return (int64_t)(clock_now(g_platform, CLOCK_KIND_REALTIME) / 1000000000);
}

struct ipc_entry *ipc_at(struct ipc_table *table, unsigned index)
{
    return index < table->slot_count ? table->slots[index] : NULL;
}

struct ipc_entry *ipc_find(struct ipc_table *table, int id, int *err)
{
    struct ipc_entry *entry = id < 0 ? NULL : ipc_at(table, (unsigned)id & INDEX_MASK);
    if (entry && entry->id == id)
        return entry;
    *err = entry ? -EIDRM : -EINVAL;
    return NULL;
}

struct ipc_entry *ipc_for_stat(const struct task *task, struct ipc_table *table, int id,
                               enum ipc_stat_by by, int *err)
{
    *err = -EINVAL;
    struct ipc_entry *entry =
        by == IPC_BY_ID ? ipc_find(table, id, err) : ipc_at(table, (unsigned)id);
    if (entry)
        *err = by == IPC_BY_SLOT_ANY ? 0 : ipc_permission(task, entry, 0444);
    return entry && *err == 0 ? entry : NULL;
}

int ipc_highest(const struct ipc_table *table)
{
    for (unsigned i = table->slot_count; i-- > 0;)
        if (table->slots[i])
            return (int)i;
    return 0;
}

static int free_slot(struct ipc_table *table, unsigned *index)
{
    for (unsigned i = 0; i < table->slot_count; i++) {
        if (!table->slots[i]) {
            *index = i;
            return 0;
        }
    }
    unsigned count = table->slot_count ? table->slot_count * 2 : 16;
    struct ipc_entry **slots = shim_realloc(table->slots, count * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    memset(slots + table->slot_count, 0, (count - table->slot_count) * sizeof(*slots));
    *index = table->slot_count;
    table->slots = slots;
    table->slot_count = count;
    return 0;
}

/* The caller saw that there is room. */
static void insert(struct ipc_table *table, struct ipc_entry *entry, unsigned index)
{
    if (index <= table->last_index)
        table->sequence = (table->sequence + 1) & SEQUENCE_MASK;
    table->last_index = index;
    entry->id = (int)(table->sequence << INDEX_BITS | index);
    table->slots[index] = entry;
    table->used++;
}

void ipc_remove(struct ipc_table *table, struct ipc_entry *entry)
{
    table->slots[(unsigned)entry->id & INDEX_MASK] = NULL;
    table->used--;
}

static bool in_group(const struct process *p, uint32_t gid)
{
    if (p->egid == gid)
        return true;
    for (unsigned i = 0; i < p->group_count; i++)
        if (p->groups[i] == gid)
            return true;
    return false;
}

int ipc_permission(const struct task *task, const struct ipc_entry *entry, unsigned wanted)
{
    const struct process *p = task->process;
    unsigned granted = entry->mode;
    if (process_capable(p, CAP_IPC_OWNER))
        return 0;
    if (p->euid == entry->cuid || p->euid == entry->uid)
        granted >>= 6;
    else if (in_group(p, entry->cgid) || in_group(p, entry->gid))
        granted >>= 3;
    wanted = wanted >> 6 | wanted >> 3 | wanted;
    return wanted & ~granted & 7 ? -EACCES : 0;
}

int ipc_owner(const struct task *task, const struct ipc_entry *entry)
{
    uint32_t euid = task->process->euid;
    if (euid == entry->cuid || euid == entry->uid)
        return 0;
    return process_capable(task->process, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static struct ipc_entry *find_key(const struct ipc_table *table, int32_t key)
{
    for (unsigned i = 0; key != IPC_PRIVATE && i < table->slot_count; i++)
        if (table->slots[i] && table->slots[i]->key == key)
            return table->slots[i];
    return NULL;
}

static int create(struct task *task, struct ipc_table *table, const struct ipc_request *req)
{
    unsigned index;
    if (table->used >= table->max)
        return -ENOSPC;
    int err = free_slot(table, &index);
    struct ipc_entry *entry = err ? NULL : req->make(task, req, &err);
    if (!entry)
        return err;
    entry->key = req->key;
    entry->mode |= req->flags & 0777;
    entry->uid = entry->cuid = task->process->euid;
    entry->gid = entry->cgid = task->process->egid;
    insert(table, entry, index);
    return entry->id;
}

int ipc_get(struct task *task, struct ipc_table *table, const struct ipc_request *req)
{
    struct ipc_entry *entry = find_key(table, req->key);
    if (!entry)
        return req->key == IPC_PRIVATE || req->flags & IPC_CREAT ? create(task, table, req)
                                                                 : -ENOENT;
    if (req->flags & IPC_CREAT && req->flags & IPC_EXCL)
        return -EEXIST;
    int err = req->check ? req->check(entry, req) : 0;
    if (err == 0)
        err = ipc_permission(task, entry, req->flags & 0777);
    return err ? err : entry->id;
}

void ipc_fill_perm(const struct ipc_entry *entry, struct ipc64_perm *out)
{
    *out = (struct ipc64_perm){.key = entry->key,
                               .uid = entry->uid,
                               .gid = entry->gid,
                               .cuid = entry->cuid,
                               .cgid = entry->cgid,
                               .mode = (__kernel_mode_t)entry->mode,
                               .seq = (unsigned short)((unsigned)entry->id >> INDEX_BITS)};
}

int ipc_set_perm(struct ipc_entry *entry, const struct ipc64_perm *perm)
{
    if (perm->uid == UINT32_MAX || perm->gid == UINT32_MAX)
        return -EINVAL;
    entry->uid = perm->uid;
    entry->gid = perm->gid;
    entry->mode = (entry->mode & ~0777u) | (perm->mode & 0777u);
    return 0;
}
