/*
 * lu.h: how linux_user is built, private to this folder.
 *
 * Each guest address space is a host process, a *carrier*; its guest memory is ordinary private memory there, so the host
 * kernel's copy-on-write does the work. All shim state (C globals, heap, shim stacks) is MAP_SHARED at one address in every
 * carrier. A *worker* is a host thread of a carrier; it carries at most one struct thread and otherwise parks on a small stack
 * of its own. To enter another space a thread saves its registers on its (shared) shim stack, its worker steps onto the park
 * stack and hands the thread to a parked worker of the other carrier.
 *
 *   supervisor (pal, libc) -- parent of all --> zygote (neutral carrier), pool carriers, carriers made by fork
 *
 * The *zygote* has nothing mapped in the guest's range: pool carriers are its children by clone, and threads with no space run in it.
 */
#ifndef PALIMPSEST_LINUX_USER_LU_H
#define PALIMPSEST_LINUX_USER_LU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/address_space.h"
#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/guest_context.h"
#include "platform/guest_memory.h"
#include "platform/instance.h"
#include "platform/linux_user/host.h"
#include "platform/linux_user/x86_64/guest_frame.h"
#include "platform/platform.h"
#include "platform/thread.h"

/* The 64 KiB below, from mmap_min_addr, hold stubs (patch_write.c) */
#define LU_GUEST_MIN 0x20000ull
/*
 * The runner, its stack and shared memory lie above (checked at start): the host puts them up to 1 TiB (28 random bits of pages), and what
 * stacks may need, below 2^47; they take 17 GiB. As high as that allows: the ranges that sanitizers know for stacks and mappings begin
 * at 0x7e8000000000.
 */
#define LU_GUEST_END 0x7ef000000000ull

/* Simple lock over shared memory: 0 free, 1 held, 2 held and waited for. */
struct lu_lock {
    uint32_t state;
};
void lu_lock(struct lu_lock *l);
MUST_USE bool lu_try_lock(struct lu_lock *l);
void lu_unlock(struct lu_lock *l);

/*
 * A worker's record lies at the base of its block, a carrier's beside its leader's; the rest, from the top down, is the park stack: one
 * page for a new carrier to fault in. Handlers of signals have stacks of their own, so what runs here is a handful of frames.
 */
#define LU_WORKER_BLOCK 4096u

enum lu_job { LU_JOB_NONE, LU_JOB_POSTED, LU_JOB_SLEEPING };

struct lu_worker {
    uint32_t job;            /* enum lu_job; futex word */
    struct thread *incoming; /* valid when LU_JOB_POSTED */
    struct lu_carrier *carrier;
    struct thread *running; /* NULL while parked */
    uint32_t tid;           /* host tid; set by the kernel before the worker runs */
    uint32_t slot;          /* of the carrier's altstack arena */
    /* Futex word: 1 pending, else 0 or -errno of the clone made on request */
    int32_t spawn_result;
    struct lu_worker *next_idle;  /* under carrier->lock */
    struct lu_worker *next_spawn; /* carrier->spawn_requests, lock-free */
    struct lu_worker *next_of_carrier;
    /* sequence.c: what the host knows of this host thread; 0: nothing. Written by it alone */
    uint64_t sequence;
    uint32_t sequence_signature;
    uint32_t sequence_unwanted;  /* 1: to be given back at the next kick; futex word */
    uint32_t stub_sweep;         /* the last of its carrier's that it has answered; futex word */
    bool used;                   /* has carried a thread before: its processor time is not 0 */
    uint64_t user_ns, system_ns; /* processor time of the host thread when `running` came here */
};

enum lu_carrier_state {
    LU_CARRIER_FREE,
    LU_CARRIER_LIVE,
    /* Asked to die, or exiting by itself; the supervisor frees the slot when it has reaped it */
    LU_CARRIER_DYING,
    LU_CARRIER_LOST, /* died, and not by us, while a token named it; destroy frees the slot */
};

struct lu_aspace {
    struct aspace base; /* offset 0, asserted */
    struct lu_carrier *carrier;
    /* Threads inside; atomic; raised on the way in, lowered on the arriving side */
    uint32_t inside;
    struct aspace_stats stats;
    struct lu_patch *patch;   /* patch.c; NULL: nothing patchable yet */
    bool patch_refused;       /* the guest uses GS: every call traps */
    bool sequence_left_out;   /* a thread's area may be missing in children */
    struct lu_lock area_lock; /* an area is given to the host, or memory goes that may hold one */
};
_Static_assert(offsetof(struct lu_aspace, base) == 0, "a token is a pointer to its lu_aspace");

struct lu_carrier {
    /* Published by the kernel (CLONE_PARENT_SETTID) before the child can run or die */
    uint32_t tgid;
    uint32_t state; /* enum lu_carrier_state; atomic */
    struct lu_lock lock;
    struct lu_worker *idle;           /* under lock: parked, LIFO */
    struct lu_worker *workers;        /* under lock: all, by next_of_carrier; the leader last */
    struct lu_worker *leader;         /* fixed: in the same block */
    uint32_t slot_count;              /* under lock: altstack slots handed out */
    struct lu_worker *spawn_requests; /* atomic LIFO: host threads to make, by whoever is kicked */
    uint32_t leader_ready;            /* atomic: its signal stack is armed, it can be kicked */
    uint32_t stub_sweep;      /* atomic: raised when no thread may stay in a stub (patch_write.c) */
    struct lu_aspace *aspace; /* NULL: neutral or in the pool */
    struct lu_carrier *next_free; /* free list or pool */
    struct lu_carrier *next_made; /* fixed once made */
};

enum lu_park_state { LU_PARK_NONE, LU_PARK_TOKEN, LU_PARK_FUTEX, LU_PARK_POLL };

#define LU_STACK_CANARY 0x9e3779b97f4a7c15ull
/*
 * At the top of its 64 KiB aligned stack, so that it shares its page with the first frames. Below a stack lies the top of the next: the
 * record's first bytes to be overwritten by an overflow from above are `canary`, its last field.
 */
struct thread {
    struct lu_thread_entry entry; /* first: assembly uses it; guest_frame.h */
    uint64_t saved_sp;            /* while it runs on no worker */
    /* lu_survivable; 0: not in it. Read by the supervisor when its carrier is dead */
    uint64_t survive_sp;
    /* enum lu_park_state; futex word. In one cache line with what a thread touches when it wakes */
    uint32_t park;
    uint32_t stranded_runs; /* of guest_run, since its space died */
    long resumed_with;      /* result of what it waited in, when another worker goes on with it */
    struct lu_worker *worker;
    struct lu_aspace *aspace; /* active space; NULL: none */
    /* Whose extended state is in this host thread's registers; NULL: nobody's */
    struct guest_context *live_ctx;
    uint32_t exited;
    thread_entry fn;
    void *arg;
    struct aspace *destroy_on_exit;
    struct thread *next; /* free list; spawn list */
    uint64_t cpu_user_ns, cpu_system_ns;
    /* guest_sequence: the area in the active space, 0: none; `away`: in `home` while another is active; `lost`: it was there and went bad */
    uint64_t sequence, sequence_away;
    const struct lu_aspace *sequence_home;
    uint32_t sequence_signature;
    bool sequence_lost;
    uint64_t canary;
} __attribute__((aligned(64)));
static inline struct thread *lu_thread_of_stack(uint64_t address_in_stack)
{
    uint64_t base = address_in_stack & ~(uint64_t)(THREAD_STACK_SIZE - 1);
    return (struct thread *)(base + THREAD_STACK_SIZE) - 1;
}

/*
 * The signal stacks: one private arena at one address in every carrier, wiped in children of fork. The control block is the top of a
 * slot, so it shares its page with the first signal frame; it is found from any address in the slot.
 */
#define LU_ALTSTACK_SIZE (64u * 1024u)
#define LU_ALTSTACK_SLOTS 4096u
#define LU_VDSO_ROOM LU_ALTSTACK_SIZE
#define LU_VDSO_ENTRIES (CLOCK_GUEST_GETCPU + 1)
/* Frame of the kernel without extended state, our handler's, the control block */
#define LU_HANDLER_FRAMES 1200u
struct lu_altstack_control {
    struct lu_worker *worker;
    uint64_t unused[7];
};
static inline struct lu_altstack_control *lu_altstack_control(uint64_t address_in_slot)
{
    uint64_t base = address_in_slot & ~(uint64_t)(LU_ALTSTACK_SIZE - 1);
    return (struct lu_altstack_control *)(base + LU_ALTSTACK_SIZE -
                                          sizeof(struct lu_altstack_control));
}

#define LU_FINISH_CLAIMED 1u
#define LU_FINISH_NORMAL 2u
#define LU_FINISH_PANIC 3u

struct lu_globals {
    struct platform platform;
    /* fixed at start */
    uint32_t supervisor_pid;
    uint64_t text_start, text_end; /* the runner's code: its system calls are the host's */
    char *heap_base;               /* shared pages */
    char *altstack_base;           /* private in every carrier, same address */
    bool use_seccomp;
    bool patching; /* rewrite sites that trap often */
    bool has_fsgsbase, has_xsave;
    /* The host's vDSO, moved to where carriers share page tables with the signal stacks. */
    uint64_t vdso_room;                   /* LU_VDSO_ROOM bytes below the signal stacks */
    uint64_t vdso_start, vdso_end;        /* its code, in carriers; 0: none */
    uint64_t vdso_entry[LU_VDSO_ENTRIES]; /* by enum clock_guest_call; 0: none */
    uint64_t xsave_mask;
    uint32_t xsave_size, mxcsr_mask;
    uint32_t pkru_offset; /* in the XSAVE area; 0: no protection keys */
    uint32_t eager_pages; /* the fault-handler set: what the first signal and its handler touch */
    bool siblings_may_not_trace; /* Yama: peek and poke need each carrier's consent */
    bool detailed_stats;
    int trace_fd;
    unsigned cpu_count;
    bool cpus_are_numbered_through; /* the host's numbers are below cpu_count */
    bool sequences;                 /* the host has rseq(2), and libc gave back its own area */
    unsigned barriers;              /* bit: enum guest_barrier_kind the host has */

    struct lu_carrier *zygote;

    /* pool of carriers with nothing mapped */
    struct lu_lock pool_lock;
    struct lu_carrier *pool; /* by next_free */
    uint32_t pool_count;
    uint32_t pool_request; /* futex word the zygote sleeps on: raised by each taker */
    /* Futex word takers sleep on: last request the zygote has dealt with */
    uint32_t pool_answered;
    uint32_t pool_sleeping;
    int pool_error; /* -errno of the last failed attempt; 0 */

    /* instance end and events */
    uint32_t finishing; /* LU_FINISH_*; atomic */
    int finish_status;
    uint32_t suspend_requested;
    uint32_t event_word;     /* futex: raised with each event */
    uint64_t signal_events;  /* bits: signal n at n-1 */
    uint64_t lost_space[16]; /* id << 8 | signal; 0 empty */
    /* by next; atomic: threads of dead carriers that nobody goes on with yet */
    struct thread *stranded;
    uint64_t reaped_user_ns, reaped_system_ns;

    /* With detailed_stats: guest calls that came without a trap */
    uint64_t calls_patched __attribute__((aligned(64)));
};
extern struct lu_globals g_lu;

/*
 * The runner lies above what guests get, or starts itself anew so that it does: before anything that an exec would undo: layout.c. 0;
 * -ENOTSUP, with *why, when that is of no use.
 */
MUST_USE int lu_layout_check(char *why, size_t size);

/* memory of the instance: shared.c */
#define LU_HUGE_PAGE (2ull << 20)
int lu_shared_init(void);
/* Zeroed memory that every carrier made later shares, at a multiple of LU_HUGE_PAGE. NULL: none. */
char *lu_shared_map(uint64_t size);
/* Make the 2 MiB at `at`, aligned, of lu_shared_map, one page of the host, if it can. The first byte becomes 0. */
void lu_shared_collapse(char *at);
void *lu_shared_pages_alloc(size_t size); /* page multiple; zeroed; NULL: none left */
void lu_shared_pages_free(void *ptr, size_t size);
/* Records of one size, zeroed when handed out, never returned to the page allocator. */
struct lu_pool {
    struct lu_lock lock;
    size_t size;
    void *free;
};
void *lu_pool_get(struct lu_pool *pool);
void lu_pool_put(struct lu_pool *pool, void *record);
struct thread *lu_stack_alloc(void);
void lu_stack_free(struct thread *t);

/* records: carrier.c */
/* Every record ever made, by next_made; most recent first. Free ones have tgid 0. */
struct lu_carrier *lu_carrier_first(void);
struct lu_carrier *lu_carrier_alloc(void);
/* A worker record with its altstack slot, on c's list, not yet a host thread. NULL: table full. */
struct lu_worker *lu_worker_alloc(struct lu_carrier *c);
/* Gives back a carrier's record and those of its workers: nothing of it runs any more. */
void lu_carrier_free(struct lu_carrier *c);
char *lu_park_stack_top(const struct lu_worker *w);
/* Make a carrier by clone of the calling one, by `self`; its leader parks. Errors: NULL, *err. */
struct lu_carrier *lu_carrier_clone(const struct lu_worker *self, int *err);
/* An empty one from the pool; waits for the zygote when the pool is empty. */
struct lu_carrier *lu_pool_take(int *err);
/* The zygote's leader: start the instance's first thread in this carrier; keep the pool warm for ever. */
void lu_zygote_boot(struct lu_worker *w, thread_entry entry, void *arg);
void lu_zygote_main(struct lu_worker *w) NO_RETURN;
/* Undo lu_worker_alloc. */
void lu_worker_unalloc(struct lu_worker *w);
/* Ask a carrier to die; its slot is freed by the supervisor when it has reaped it. */
void lu_carrier_kill(struct lu_carrier *c);
/* First code of a carrier's leader and of every other worker, on its park stack. */
void lu_worker_start(struct lu_worker *w) NO_RETURN;

/* hand-over: worker.c */
/* A parked worker of `c`, reserved for the caller: an idle one, or one made here or there. NULL and *err: -EAGAIN, -ENOMEM. */
struct lu_worker *lu_worker_acquire(struct lu_carrier *c, int *err);
/* Make `w` a host thread of the carrier this code runs in. Its tid, or -errno. Async-signal safe. */
long lu_worker_clone(struct lu_worker *w);
/* Let a reserved worker resume `t`, which runs nowhere. */
void lu_worker_post(struct lu_worker *w, struct thread *t);
/* In a signal handler of a worker of `c`: make the host threads that others asked for. */
void lu_serve_spawn_requests(struct lu_carrier *c);
/* Move the calling thread to a worker of `c`; returns there. 0, -EAGAIN, -ENOMEM. */
int lu_thread_move(struct lu_carrier *c);
/* The same, keeping the worker it left reserved in *home (NULL: it was there already), so that going home cannot fail. */
int lu_thread_visit(struct lu_carrier *c, struct lu_worker **home);
void lu_thread_go_home(struct lu_worker *home);
NO_RETURN void lu_park_loop(struct lu_worker *w);
void lu_kick(struct lu_worker *w);
#define LU_KICK_SIGNAL 10 /* SIGUSR1: coalesces, so a storm of kicks queues nothing */
void lu_thread_time_now(struct thread *t, uint64_t *user_ns, uint64_t *system_ns);

struct thread *lu_current(void);
/* Its space's carrier died, it goes on in the zygote: nothing of the space is there, and nothing may be mapped. */
static inline bool lu_is_stranded(const struct thread *t)
{
    return t->aspace && t->worker->carrier != t->aspace->carrier;
}
/* Let workers of this carrier, the zygote, go on with the threads of dead ones. */
void lu_threads_rescue(void);
/* thread_unpark. True: it was parked, or about to. */
bool lu_give_token(struct thread *t);
void lu_save_live_context(struct thread *t);

/* restartable sequences and barriers: sequence.c */
/* In the zygote: what the host has; carriers inherit it. */
void lu_sequence_probe(void);
/* The calling thread goes on in `to`: it has its area in one space only. */
void lu_sequence_move(struct thread *t, const struct lu_aspace *to);
int lu_guest_sequence(struct platform *p, struct guest_addr area, uint32_t signature);
int lu_guest_barrier(struct platform *p, enum guest_barrier_kind kind, int cpu);
/* On the way to the guest, when the host thread has another area than `t`. */
void lu_sequence_sync(struct thread *t);
/* The calling host thread will carry another thread, or none. */
void lu_sequence_give_back(struct lu_worker *w);
/*
 * The range goes, or cannot be written any more: no host thread of the carrier has an area there when this returns, or gets one until the
 * space's area_lock, which the caller holds, is free. true: the caller had; lu_sequence_sync afterwards gives it back what it can still have.
 */
MUST_USE bool lu_sequence_forget(struct lu_carrier *c, uint64_t start, uint64_t size);
/* In a handler: is there nothing to be done with what the area says? Then the host's SIGSEGV was about that. */
bool lu_sequence_went_bad(struct lu_worker *w);
/* Has one an area there? */
bool lu_sequence_inside(struct lu_carrier *c, uint64_t start, uint64_t size);
/* In the handler of a kick: somebody waits in lu_sequence_forget. */
void lu_sequence_answer(struct lu_worker *w);

/* aspace.c; stats.c */
int lu_aspace_init(void);
bool lu_aspace_destroy_by(struct aspace *as, const struct lu_worker *w);
uint64_t lu_count_private_pages(const struct lu_carrier *c);
/* As the host says: `address`, of this carrier's space, lies in a private, not writable mapping of a file. */
bool lu_private_file_text(const struct lu_carrier *c, uint64_t address);
void lu_carrier_counters(const struct lu_carrier *c, struct aspace_stats *out);
/* Bytes of anonymous memory of all carriers that are spaces; as instance_memory_used. */
uint64_t lu_carriers_used(uint64_t enough);
/* memory.c: bytes that memfds hold. */
uint64_t lu_objects_used(void);

/* signals: fault.c */
int lu_signals_install(void);
void lu_altstack_arm(struct lu_worker *w);

/* the host's vDSO: vdso.c */
/* In the supervisor: what it exports (elf_header 0: there is none); and which of the mappings are its own, by lines of maps. */
void lu_vdso_find(uint64_t elf_header, bool processors_are_numbered_through);
bool lu_vdso_note(uint64_t start, uint64_t end, const char *line);
/* In the zygote: to its place. When that fails it goes, and clocks are read by host calls. */
void lu_vdso_move(void);

/* interception: intercept.c */
bool lu_sud_available(void);
int lu_intercept_arm_thread(void);  /* SUD: per host thread */
int lu_intercept_arm_process(void); /* seccomp: once, in the zygote; inherited */

/* patched sites: patch.c. The range calls come from memory.c, in the space's own carrier. */
/* A private mapping of a file that may be executed and not written was made. */
void lu_patch_text_mapped(struct lu_aspace *as, const struct memory_map_request *req);
struct lu_patch;
/*
 * Around a change of what is mapped: no site is patched in between, which could take memory where the guest is about to map. In it,
 * before the contents of a range change or it goes, patches there are taken back; that may wait for threads to come out of stubs.
 * Result: for the other two; NULL when nothing was patchable yet.
 */
MUST_USE struct lu_patch *lu_patch_change_begin(struct lu_aspace *as);
void lu_patch_forget(struct lu_patch *p, struct lu_carrier *c, uint64_t start, uint64_t size);
/* The same for all text of an object. */
void lu_patch_forget_object(struct lu_patch *p, struct lu_carrier *c,
                            const struct memory_object *object);
void lu_patch_change_end(struct lu_patch *changed);
/* A trapped call: count it and rewrite its site when it comes often. regs as they were at the trap. */
void lu_patch_consider(struct lu_aspace *as, const struct lu_carrier *c,
                       const struct guest_regs *regs);
/* Take all patches back and make no more: the guest uses GS. */
void lu_patch_refuse(struct lu_aspace *as, struct lu_carrier *c);
/* Around clone: no site is half written in between. -ENOMEM: nothing was begun. `child` NULL: clone failed. */
int lu_patch_fork_begin(struct lu_aspace *parent, struct lu_patch **copy);
void lu_patch_fork_end(struct lu_aspace *parent, struct lu_aspace *child, struct lu_patch *copy);
void lu_patch_destroy(struct lu_aspace *as);
/* --stats: which sites trapped and what became of them; to the person at the terminal. */
void lu_patch_report(void);
/* Where a guest interrupted in a stub goes on: its site. Async-signal safe, as is the next. */
uint64_t lu_patch_original_rip(const struct lu_aspace *as, uint64_t rip);
/* A breakpoint trap (rip past it) that the guest must not see: its site is being rewritten. */
bool lu_patch_straggler(const struct lu_aspace *as, uint64_t rip);
enum lu_stub_place {
    LU_STUB_NONE,   /* guest code */
    LU_STUB_INSIDE, /* in a stub, or at the long jump that leads to one */
    LU_STUB_BOUNDARY, /* between the moved instruction and the call: where the guest's own code has a boundary, too */
    LU_STUB_DOOR, /* at its last jump, registers as for lu_patched_entry */
};
enum lu_stub_place lu_patch_stub_place(const struct lu_aspace *as, uint64_t rip);
/* In a kick's handler, rip being guest code or in a window: out of a stub, if somebody wants stubs empty. Where to go on. */
uint64_t lu_patch_answer_sweep(struct lu_worker *w, uint64_t rip);

/* guest_run.c */
void lu_cpu_probe(void);
/* The live registers' extended state into ctx. */
void lu_context_store(struct guest_context *ctx);
/* The guest's extended state back into the registers from a signal frame; `fpstate` may be NULL. Key 0 becomes usable. */
void lu_extended_from_frame(void *fpstate);

/* memory.c: the host file of an object; a number that tells files apart. */
int lu_object_fd(const struct memory_object *obj);
uint64_t lu_object_identity(const struct memory_object *obj);
/* Which host file, in which state. false: its contents may change without a trace. */
struct lu_file_stamp {
    uint64_t device, inode, size, changed_s, changed_ns;
};
bool lu_object_stamp(const struct memory_object *obj, struct lu_file_stamp *out);

extern const struct aspace_ops lu_aspace_ops;
extern const struct memory_ops lu_memory_ops;
extern const struct guest_ops lu_guest_ops;
extern const struct thread_ops lu_thread_ops;
extern const struct clock_ops lu_clock_ops;
extern const struct host_file_ops lu_host_file_ops;
extern const struct host_socket_ops lu_host_socket_ops;
extern const struct instance_ops lu_instance_ops;

/* Host side, before carriers exist: `fd` becomes host_file_granted(name). */
int lu_host_files_grant(const char *name, int fd, bool writable);
/* The same for host_socket_published(); and whether host_socket_open() may be used. */
int lu_host_sockets_grant(const char *name, int fd);
void lu_host_network_grant(void);

#endif
