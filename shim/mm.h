/*
 * mm.h: a guest's memory as Linux means it: VMAs, brk, the ranges /proc shows, and the space below. One per address space,
 * shared by CLONE_VM tasks. The platform does the mapping; mm keeps the meaning.
 */
#ifndef PALIMPSEST_SHIM_MM_H
#define PALIMPSEST_SHIM_MM_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/address_space.h"
#include "platform/guest_memory.h"
#include "shim/sync.h"

struct file;
struct task;

struct vma {
    uint64_t start, end; /* page aligned, start < end */
    unsigned prot;       /* MEMORY_* */
    enum memory_sharing sharing;
    struct memory_object *object; /* owned reference; NULL: anonymous private */
    uint64_t offset;              /* of start in object */
    struct file *file;            /* owned reference; NULL: anonymous. Names it in /proc/PID/maps */
    uint32_t flags;               /* VMA_* */
    struct vma *prev, *next;      /* address order; NULL at both ends */
    /* vma.c's: AVL tree by address; max_gap is the largest hole before any VMA of the subtree */
    struct vma *left, *right, *parent;
    uint64_t max_gap;
    int height;
};
#define VMA_GROWSDOWN 1u
#define VMA_STACK 2u /* [stack] in maps */
#define VMA_HEAP 4u  /* [heap] */
#define VMA_DONTFORK 8u
#define VMA_WIPEONFORK 16u
#define VMA_NORESERVE 32u
#define VMA_LOCKED 64u
#define VMA_VDSO 128u
#define VMA_SHM 256u       /* SysV segment */
#define VMA_PROMISED 1024u /* private and was writable at some time: it may hold pages of its own */
#define VMA_POLICY_SHIFT 12u /* from there MM_POLICY_*, mbind(2) */
#define VMA_SEALED 2048u     /* a shared mapping that may never become writable */
#define VMA_SMALL_PAGES 512u /* large pages would only waste memory here (stacks) */

/* Pages of a set of VMAs, by what limits count. */
struct vma_totals {
    uint64_t pages;    /* RLIMIT_AS */
    uint64_t data;     /* RLIMIT_DATA: private, writable, no stack */
    uint64_t locked;   /* RLIMIT_MEMLOCK */
    uint64_t promised; /* VMA_PROMISED, and shared memory without a file */
};

struct mm {
    uint32_t users;           /* atomic: tasks; the last drop tears down */
    struct mutex lock;        /* everything below; taken after no file lock */
    struct aspace *as;        /* owned token; NULL once torn down */
    struct vma *vmas;         /* the lowest; the list is in address order */
    struct vma *root, *spare; /* vma.c's: lookup tree, unused VMAs */
    struct vma *removed;      /* vma.c's: their files are dropped once the lock is free */
    struct vma_block *blocks; /* vma.c's: where VMAs live until the mm ends */
    unsigned vma_count, spare_count;
    struct vma_totals total;
    uint64_t brk_start, brk_end; /* bytes; brk_start is page aligned */
    uint64_t mmap_top;           /* top-down search starts below */
    uint64_t stack_low;          /* start of the [stack] VMA; read without the lock */
    uint64_t stack_top, code_start, code_end, data_start, data_end;
    uint64_t arg_start, arg_end, env_start, env_end;
    struct file *exe;  /* owned; not written while it is executed; NULL: none yet */
    uint64_t auxv[64]; /* pairs, for /proc/PID/auxv */
    unsigned auxv_count;
    uint32_t barriers; /* sequence.c: kinds registered with membarrier(2); atomic */
    bool thp_disable;
    bool has_segments;  /* a VMA_SHM was mapped once */
    bool lock_future;   /* mlockall(MCL_FUTURE): new mappings are VMA_LOCKED */
    bool lock_on_fault; /* MCL_ONFAULT: they are not populated */
};

/* An empty mm over a fresh space. Owner: caller, one user. Errors: NULL, *err. */
struct mm *mm_create(int *err);
/* fork: child mm over aspace_fork, VMAs copied (DONTFORK left out). The caller's space is active. All or nothing. */
struct mm *mm_fork(struct mm *parent, int *err);
/* execve: `file` is what the space executes: -ETXTBSY when somebody has it open for writing. */
MUST_USE int mm_set_exe(struct mm *mm, struct file *file);
void mm_get(struct mm *mm);
/*
 * Drop one user. The last one tears VMAs down. MM_DROP_LEAVING: the calling thread is inside this space and about to
 * thread_exit; a sole user gets the token for thread_exit to consume; otherwise the thread is out of the space when this returns NULL,
 * because another user may destroy it from now on. MM_DROP_OUTSIDE: the calling thread is not inside; the space is destroyed here
 * if this was the last user (result NULL). Takes no reference after task->mm was cleared under g_process_lock.
 */
enum mm_drop_mode { MM_DROP_OUTSIDE, MM_DROP_LEAVING };
struct aspace *mm_put(struct mm *mm, enum mm_drop_mode mode);

/* mmap(2) core; addr 0: choose. flags: MAP_* of the Linux ABI. Result: address or -errno. `file` borrowed or NULL. */
int64_t mm_map(struct mm *mm, uint64_t addr, uint64_t size, unsigned linux_prot,
               unsigned linux_flags, struct file *file, uint64_t offset, uint32_t vma_flags);
/* Map a memory object (shared memory, memfd) without a file. */
int64_t mm_map_object(struct mm *mm, uint64_t addr, uint64_t size, unsigned linux_prot,
                      unsigned linux_flags, struct memory_object *object, uint64_t offset,
                      uint32_t vma_flags);
int mm_unmap(struct mm *mm, uint64_t addr, uint64_t size);
/* shmdt(2): unmap what is left of the segment that was attached at `addr`. -EINVAL: none was. */
int mm_detach(struct mm *mm, uint64_t addr);
/* The sole user is about to end: System V segments stop to count as attached before the parent hears of it. */
void mm_detach_all(struct mm *mm);
/* mprotect(2), brk(2) (result: the break after the call), mremap(2), madvise(2), mlock(2) and munlock(2). The space is active. */
int mm_protect(struct mm *mm, uint64_t addr, uint64_t size, unsigned linux_prot);
uint64_t mm_brk(struct mm *mm, uint64_t addr);
int64_t mm_remap(struct mm *mm, uint64_t addr, uint64_t old_size, uint64_t new_size, unsigned flags,
                 uint64_t new_addr);
int mm_advise(struct mm *mm, uint64_t addr, uint64_t size, int linux_advice);
enum mm_lock_mode { MM_UNLOCK, MM_LOCK, MM_LOCK_ON_FAULT };
int mm_lock(struct mm *mm, uint64_t addr, uint64_t size, enum mm_lock_mode mode);
/* mlockall(2) with MCL_* flags; 0: munlockall(2). */
int mm_lock_all(struct mm *mm, unsigned flags);
/* msync(2) in the space of `task`; mincore(2) into vec, one byte a page. Requires for mm_resident: page aligned, size > 0. */
int mm_sync(struct task *task, uint64_t addr, uint64_t size, unsigned flags);
int mm_resident(struct mm *mm, uint64_t addr, uint64_t size, unsigned char *vec);
/*
 * A memory policy of set_mempolicy(2) or mbind(2): MPOL_*, its flags, whether node 0 is among the nodes. 0: none.
 * mm_set_policy: none_there: -EIO when a page of [start, end) is present. Errors: -EFAULT (a hole; for policy 0: nothing but one), -ENOMEM.
 */
#define MM_POLICY_MODE 7u
#define MM_POLICY_FLAGS 0x38u
#define MM_POLICY_NODE 64u
#define MM_POLICY (MM_POLICY_MODE | MM_POLICY_FLAGS | MM_POLICY_NODE)
int mm_set_policy(struct mm *mm, uint64_t start, uint64_t end, uint32_t policy, bool none_there);
int mm_policy_at(struct mm *mm, uint64_t addr, uint32_t *policy); /* -EFAULT: nothing is mapped */
/* 0; -ENOENT: not brought in yet; -EFAULT: nothing is mapped. */
int mm_page_present(struct mm *mm, uint64_t page);
static inline uint32_t mm_policy_of(const struct vma *v)
{
    return v->flags >> VMA_POLICY_SHIFT & MM_POLICY;
}
/* A free place as mmap would choose it, for `size` bytes aligned to `align` (a power of two), or VMA_NO_PLACE. Takes mm->lock. */
uint64_t mm_place(struct mm *mm, uint64_t size, uint64_t align);
/* Under mm->lock: the VMA that holds addr, or NULL. */
struct vma *mm_find(struct mm *mm, uint64_t addr);

/*
 * A guest fault that the platform could not resolve: grows a GROWSDOWN VMA when that is what it is (true: retry the
 * instruction), otherwise false: a signal is due.
 */
bool mm_fault(struct mm *mm, uint64_t addr, bool write);
/* A copy could not reach addr: true when a GROWSDOWN VMA grew to hold it. */
bool mm_grow_stack(struct mm *mm, uint64_t addr, bool write);

/*
 * The key under which futex waiters on a word find each other: private words by space and address, shared mappings by object and
 * offset. As on Linux, those who declare a word private and those who don't never meet, even where nobody shares the memory.
 * Errors: -EFAULT, -EINVAL (unaligned).
 */
struct futex_key {
    uint64_t object; /* object pointer value, or 0 */
    uint64_t space;  /* aspace_id when object == 0 */
    /* With FUTEX_KEY_NOT_DECLARED: in private memory, by a call without FUTEX_PRIVATE_FLAG */
    uint64_t offset;
};
#define FUTEX_KEY_NOT_DECLARED 1u
MUST_USE int mm_futex_key(struct mm *mm, uint64_t addr, bool known_private, struct futex_key *key);

/* Whether `fn` says so of a file that the space executes or maps. It runs under mm->lock. */
bool mm_any_file(struct mm *mm, bool (*fn)(const struct file *f, const void *arg), const void *arg);

/* /proc/PID/maps and numbers for statm, status. `full` adds smaps fields. */
struct str_buf;
void mm_print_maps(struct mm *mm, struct str_buf *out, bool full);
void mm_print_rollup(struct mm *mm, struct str_buf *out); /* smaps_rollup */
uint64_t mm_resident_pages(struct mm *mm);

/* execve: sys_exec.c. Builds a new mm and registers; on success the task runs the new image. path: guest path. */
struct exec_args {
    char **argv, **envp; /* from shim_alloc, NULL-terminated */
    unsigned argc, envc;
};
/* Load `file` into a fresh mm and switch the task to it; the old mm is dropped. Before the point of no return an error leaves the
 * task as it was; after it the task is killed by SIGSEGV as Linux does. `why` (may be NULL) gets a sentence for people. */
struct exec_request {
    const char *path;  /* as the guest named it, absolute after resolution for AT_EXECFN */
    struct file *file; /* opened for reading, execute permission checked; borrowed */
    struct exec_args args;
};
MUST_USE int exec_load(struct task *task, const struct exec_request *req, char *why,
                       size_t why_size);

#endif
