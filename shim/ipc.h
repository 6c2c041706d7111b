/*
 * ipc.h: what the three kinds of System V IPC share: a table of objects by id and key, permissions, and the work of the *get calls.
 * See sysvipc(7). Each kind has one table and one lock, which also guards its objects; lock order: docs/locking.md.
 */
#ifndef PALIMPSEST_SHIM_IPC_H
#define PALIMPSEST_SHIM_IPC_H

#include <stddef.h>
#include <stdint.h>

#include <linux/ipc.h>

#include "platform/annotations.h"
#include "shim/sync.h"

struct task;
struct str_buf;

/* The first member of every object. Guarded by the table's lock. */
struct ipc_entry {
    int id;
    int32_t key; /* IPC_PRIVATE: found by id only */
    uint32_t uid, gid, cuid, cgid;
    uint32_t mode; /* permission bits, and the kind's own above them */
};

struct ipc_table {
    struct mutex lock;
    unsigned max; /* objects */
    struct ipc_entry **slots;
    unsigned slot_count, used, last_index, sequence;
};

/* -EINVAL: there is no such object; -EIDRM: there was. */
MUST_USE struct ipc_entry *ipc_find(struct ipc_table *table, int id, int *err);
/* The object in a slot, for *_STAT and /proc; NULL: none. */
struct ipc_entry *ipc_at(struct ipc_table *table, unsigned index);
/* *_STAT commands: what they name and may be looked at. NULL and *err: -EINVAL, -EIDRM, -EACCES. Under table->lock. */
enum ipc_stat_by {
    IPC_BY_ID,       /* IPC_STAT */
    IPC_BY_SLOT,     /* *_STAT: `id` is an index */
    IPC_BY_SLOT_ANY, /* *_STAT_ANY: no permission needed */
};
struct ipc_entry *ipc_for_stat(const struct task *task, struct ipc_table *table, int id,
                               enum ipc_stat_by by, int *err);
/* Result of IPC_INFO and friends: the highest slot in use, 0 when there is none. */
int ipc_highest(const struct ipc_table *table);
/* The id stops to exist; the memory is the caller's. */
void ipc_remove(struct ipc_table *table, struct ipc_entry *entry);

/* Access as the low nine bits of `wanted` ask for it, in any of the three places. 0 or -EACCES. */
MUST_USE int ipc_permission(const struct task *task, const struct ipc_entry *entry,
                            unsigned wanted);
/* IPC_SET, IPC_RMID: owner or creator. 0 or -EPERM. */
MUST_USE int ipc_owner(const struct task *task, const struct ipc_entry *entry);

/* shmget(2), semget(2), msgget(2). Under table->lock; `make` gives a new object without id, key and owner. Result: id or -errno. */
struct ipc_request {
    int32_t key;
    unsigned flags;
    uint64_t size; /* the kind's */
    struct ipc_entry *(*make)(struct task *task, const struct ipc_request *req, int *err);
    int (*check)(const struct ipc_entry *entry,
                 const struct ipc_request *req); /* NULL: any object will do */
};
MUST_USE int ipc_get(struct task *task, struct ipc_table *table, const struct ipc_request *req);

struct ipc64_perm;
void ipc_fill_perm(const struct ipc_entry *entry, struct ipc64_perm *out);
/* IPC_SET: owner, group and permission bits. -EINVAL: no such user. */
MUST_USE int ipc_set_perm(struct ipc_entry *entry, const struct ipc64_perm *perm);
int64_t ipc_now_s(void);

/* /proc/sysvipc/shm, sem and msg. */
void shm_print(struct str_buf *out);
void sem_print(struct str_buf *out);
void msg_print(struct str_buf *out);

/* What shmat(2) mapped: called for each VMA that comes or goes, under mm->lock or later in the order. */
struct file;
void shm_attached(struct file *file);
void shm_detached(struct file *file);

/* Semaphore adjustments of a task (SEM_UNDO), shared by CLONE_SYSVSEM. */
struct sem_undo_list;
MUST_USE int sem_undo_share(struct task *parent, struct task *child);
/* The task ends, or leaves the group: the last one makes the adjustments. */
void sem_undo_drop(struct task *task);

/* Limits, as Linux has them by default. */
#define SHM_MAX_SEGMENTS 4096u
#define SHM_MAX_SIZE (UINT64_MAX - (1ull << 24))
#define SEM_MAX_ARRAYS 32000u
#define SEM_MAX_PER_ARRAY 32000u
#define SEM_MAX_OPERATIONS 500u
#define MSG_MAX_QUEUES 32000u
#define MSG_MAX_SIZE 8192u
#define MSG_MAX_QUEUE_BYTES 16384u

#endif
