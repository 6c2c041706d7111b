/*
 * supervisor.c: the host process that starts an instance, reaps its carriers, forwards signals and ends it. The only part of
 * linux_user that uses libc; nothing here runs in a carrier.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "platform/front.h"
#include "platform/linux_user/lu.h"

#include <linux/membarrier.h>
#include <linux/sched.h>

struct lu_globals g_lu;

extern char _end[], __executable_start[], etext[];

#define UNNEEDED_MAX 64
#define DEAD_LOCK_TRIES 1000 /* a millisecond each */
#define LOST_TRIES 10000     /* the same */
struct range {
    uint64_t start, end;
};
static struct range g_unneeded[UNNEEDED_MAX];
static uint64_t g_text_file_end, g_data_start; /* of the runner's segments */
static size_t g_unneeded_count;

/* What the boot thread runs; in shim memory. */
struct boot {
    platform_main entry;
    void *blob;
    size_t size;
};
static struct boot g_boot;

static int fail(char *why, size_t size, int err, const char *what)
{
    snprintf(why, size, "%s: %s", what, strerror(-err));
    return err;
}

static bool lu_probe(char *why, size_t size)
{
    if (lu_sud_available())
        snprintf(why, size,
                 "system calls by syscall user dispatch; copy-on-write by the host kernel");
    else if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)
        snprintf(why, size,
                 "system calls by seccomp trap (no syscall user dispatch here); copy-on-write by "
                 "the host kernel");
    else {
        snprintf(
            why, size,
            "the host kernel has neither syscall user dispatch (Linux 5.11) nor seccomp filters");
        return false;
    }
    return true;
}

/* Take [start, end), if nothing is mapped there. */
static bool reserve(uintptr_t start, uintptr_t end)
{
    if (start == end)
        return true;
    long at = host_call(__NR_mmap, start, end - start, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    return at == (long)start;
}

/*
 * The runner's writable segment becomes shared memory at the same address, so that each C global is one variable in all
 * carriers. It takes the whole huge pages around it, where the linker and the host left them free, so that a carrier maps it by one fault.
 * Nothing writes a global between the copy and the remap.
 */
static int share_data_segment(void)
{
    const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)__executable_start;
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(__executable_start + elf->e_phoff);
    uintptr_t base = (uintptr_t)__executable_start, start = 0, end = 0;
    for (int i = 0; i < elf->e_phnum; i++) {
        const ElfW(Phdr) *h = &headers[i];
        if (h->p_type == PT_LOAD && (h->p_flags & PF_W)) {
            start = (base + h->p_vaddr) & ~4095ul;
            end = (base + h->p_vaddr + h->p_memsz + 4095) & ~4095ul;
        } else if (h->p_type == PT_LOAD) {
            g_text_file_end = (base + h->p_vaddr + h->p_filesz + 4095) & ~4095ul;
        }
    }
    if (start == 0)
        return -ENOEXEC;
    g_data_start = start;
    uintptr_t low = start & ~(LU_HUGE_PAGE - 1),
              high = (end + LU_HUGE_PAGE - 1) & ~(LU_HUGE_PAGE - 1);
    bool before = g_text_file_end <= low && reserve(low, start),
         whole = before && reserve(end, high);
    if (before && !whole)
        host_call(__NR_munmap, low, start - low);
    char *copy = lu_shared_map(high - low);
    if (!copy)
        return -ENOMEM;
    uintptr_t to = whole ? low : start, to_end = whole ? high : end;
    if (whole)
        for (uintptr_t at = 0; at < high - low; at += LU_HUGE_PAGE)
            lu_shared_collapse(copy + at);
    memcpy(copy + (start - low), (void *)start, end - start);
    long moved = host_call(__NR_mremap, copy + (to - low), to_end - to, to_end - to,
                           MREMAP_MAYMOVE | MREMAP_FIXED, to);
    return moved < 0 && moved > -4096 ? (int)moved : 0;
}

/*
 * What carriers must not inherit above the guest's range: libc's heap, the main thread's stack, the vDSO. Each would cost every fork a VMA and
 * its page tables. Shared mappings stay: they are the instance's, or a test's way to look inside.
 */
static int find_unneeded(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return -errno;
    uintptr_t runner_start = (uintptr_t)__executable_start & ~4095ul,
              runner_end = ((uintptr_t)_end + 4095) & ~4095ul;
    uintptr_t arena = (uintptr_t)g_lu.altstack_base;
    char line[512];
    g_unneeded_count = 0;
    while (fgets(line, sizeof(line), maps)) {
        line[strcspn(line, "\n")] = '\0';
        unsigned long start, end;
        char perms[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) != 3 || perms[3] != 'p' ||
            start < LU_GUEST_END || start >= 1ul << 47)
            continue;
        /* First: the host may have put it into the gap between the runner's own segments. */
        if (lu_vdso_note(start, end, line))
            continue;
        if ((start >= runner_start && start < runner_end) || (start <= arena && arena < end))
            continue;
        if (g_unneeded_count < UNNEEDED_MAX)
            g_unneeded[g_unneeded_count++] = (struct range){start, end};
    }
    fclose(maps);
    return 0;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Yama's ptrace_scope 1 lets only ancestors read a process; carriers are siblings. Documentation/admin-guide/LSM/Yama.rst. */
static bool yama_restricts(void)
{
    FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    int scope = 0;
    if (f) {
        if (fscanf(f, "%d", &scope) != 1)
            scope = 0;
        fclose(f);
    }
    return scope >= 1;
}

static void boot_thread(void *arg)
{
    struct boot *boot = arg;
    boot->entry(&g_lu.platform, boot->blob, boot->size);
    platform_panic("the instance's main function returned instead of calling instance_finish");
}

/*
 * The runner's code and constants move into private huge pages at their own address: a forked carrier then has them mapped from the
 * start, where file pages would be faulted in (and torn down) by each. Only when the linker left them whole huge pages; failing, the
 * file's pages stay. Runs in the zygote, on the code it moves.
 */
static void move_text_to_huge_pages(void)
{
    uint64_t start = (uint64_t)__executable_start,
             size = (g_text_file_end - start + LU_HUGE_PAGE - 1) & ~(LU_HUGE_PAGE - 1);
    if (start % LU_HUGE_PAGE != 0 || start + size > g_data_start)
        return;
    long at = host_call(__NR_mmap, 0, size + LU_HUGE_PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -4096)
        return;
    uint64_t copy = ((uint64_t)at + LU_HUGE_PAGE - 1) & ~(LU_HUGE_PAGE - 1);
    host_call(__NR_munmap, at, copy - (uint64_t)at);
    host_call(__NR_munmap, copy + size, (uint64_t)at + LU_HUGE_PAGE - copy);
    host_call(__NR_madvise, copy, size, MADV_HUGEPAGE);
    memcpy((void *)copy, (void *)start, g_text_file_end - start);
    if (host_call(__NR_mprotect, copy, size, PROT_READ | PROT_EXEC) == 0)
        host_call(__NR_mremap, copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start);
}

/* First code of the zygote, on its leader's park stack. No libc from here on. */
static void zygote_start(void *arg)
{
    struct lu_worker *w = arg;
    w->tid = w->carrier->tgid;
    host_call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if ((uint32_t)host_call(__NR_getppid) != g_lu.supervisor_pid)
        host_call(__NR_exit_group, 0);
    /* What libc registered with the host kernel points into memory that goes away now. */
    if (__rseq_size > 0)
        host_call(__NR_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32,
                  1 /* RSEQ_FLAG_UNREGISTER */, 0x53053053);
    host_call(__NR_set_robust_list, 0, 24);
    host_call(__NR_umask, 0); /* all carriers': modes of host files are as the shim asks */
    host_call(__NR_munmap, LU_GUEST_MIN, LU_GUEST_END - LU_GUEST_MIN);
    for (size_t i = 0; i < g_unneeded_count; i++)
        host_call(__NR_munmap, g_unneeded[i].start, g_unneeded[i].end - g_unneeded[i].start);
    move_text_to_huge_pages();
    lu_vdso_move();
    lu_sequence_probe();
    if (!(g_lu.barriers >> GUEST_BARRIER_CODE & 1))
        g_lu.patching = false; /* choose_interception has asked whether the host can */
    lu_altstack_arm(w);
    int err = lu_signals_install();
    if (err == 0)
        err = lu_intercept_arm_process();
    if (err < 0)
        platform_panic("linux_user: the zygote could not install its handlers");
    __atomic_store_n(&g_lu.zygote, w->carrier, __ATOMIC_RELEASE);
    lu_zygote_boot(w, boot_thread, &g_boot);
    lu_zygote_main(w);
}

static struct lu_carrier *carrier_of(pid_t pid)
{
    for (struct lu_carrier *c = lu_carrier_first(); c; c = c->next_made)
        if (c->tgid == (uint32_t)pid && c->state != LU_CARRIER_FREE)
            return c;
    return NULL;
}

static void post_event(void)
{
    __atomic_add_fetch(&g_lu.event_word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &g_lu.event_word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
}

/* Its lock, unless a thread that died in it holds it for ever. */
static bool lock_dead_carrier(struct lu_carrier *c)
{
    const struct timespec moment = {0, 1000000};
    for (int tries = 0; tries < DEAD_LOCK_TRIES; tries++) {
        if (lu_try_lock(&c->lock))
            return true;
        nanosleep(&moment, NULL);
    }
    return false;
}

/*
 * The thread that a dead worker had, when another can go on with it: it ran guest code, waited in lu_survivable, or had not begun. What its
 * stack pointer was in any other shim code died with the host thread.
 */
static struct thread *survivor(struct lu_worker *w)
{
    struct thread *t = w->running;
    if (!t)
        return __atomic_load_n(&w->job, __ATOMIC_ACQUIRE) == LU_JOB_POSTED ? w->incoming : NULL;
    return t->entry.in_guest || t->survive_sp ? t : NULL;
}

/* To go on where guest_run, or what it waited in, returns. */
static void prepare_survivor(struct lu_worker *w, struct thread *t)
{
    if (w->running && t->entry.in_guest) {
        /* The handler may have been about to say something else */
        *t->entry.exit = (struct guest_exit){.reason = GUEST_INTERRUPT};
        t->saved_sp = t->entry.run_sp;
        t->resumed_with = LU_RUN_LEFT;
        t->entry.in_guest = 0;
    } else if (w->running) {
        t->saved_sp = t->survive_sp;
        t->resumed_with = -EINTR;
        t->survive_sp = 0;
    }
    /* A prompt call must not go back to the guest */
    t->entry.interrupt = 1;
    t->live_ctx = NULL;
    t->stranded_runs = 0;
    t->sequence = t->sequence_away = 0;
    t->sequence_lost = false;
    w->running = NULL;
    w->job = LU_JOB_NONE;
}

enum carrier_end {
    CARRIER_ENDED,  /* it was to die; its record is free */
    CARRIER_LOST,   /* nobody finds a worker there from now on; *id: of the space */
    CARRIER_FATAL,  /* with it went a thread that others wait for */
    CARRIER_AWAITS, /* the same, unless somebody in another carrier is about to post it */
};

/* The threads of a dead carrier, by next: CARRIER_LOST, if all go on. Under c->lock. */
static enum carrier_end dead_threads(struct lu_carrier *c, struct thread **all)
{
    uint32_t others = 0;
    *all = NULL;
    for (struct lu_worker *w = c->workers; w; w = w->next_of_carrier) {
        if (survivor(w))
            continue;
        if (w->running)
            return CARRIER_FATAL;
        others++;
    }
    for (const struct lu_worker *w = c->idle; w && others > 0; w = w->next_idle)
        others--;
    if (others > 0)
        return CARRIER_AWAITS;
    for (struct lu_worker *w = c->workers; w; w = w->next_of_carrier) {
        struct thread *t = survivor(w);
        if (!t)
            continue;
        prepare_survivor(w, t);
        t->next = *all;
        *all = t;
    }
    return CARRIER_LOST;
}

static enum carrier_end carrier_end(struct lu_carrier *c, uint64_t *id, struct thread **threads)
{
    uint32_t live = LU_CARRIER_LIVE;
    if (!lock_dead_carrier(c))
        return CARRIER_FATAL;
    struct lu_aspace *as = c->aspace;
    enum carrier_end how = CARRIER_FATAL;
    if (__atomic_load_n(&c->state, __ATOMIC_ACQUIRE) == LU_CARRIER_DYING)
        how = CARRIER_ENDED;
    else if (as)
        how = dead_threads(c, threads);
    if (how == CARRIER_LOST) {
        *id = as->base.id;
        c->tgid = 0; /* before the record can be free */
        how = __atomic_compare_exchange_n(&c->state, &live, LU_CARRIER_LOST, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
                  ? CARRIER_LOST
                  : CARRIER_ENDED;
    }
    lu_unlock(&c->lock);
    if (how == CARRIER_ENDED)
        lu_carrier_free(c);
    return how;
}

/* Theirs is the next word: their space, and with it the record of its carrier, lives as long as one of them. */
static void strand(struct thread *threads)
{
    struct thread *last = threads;
    while (last && last->next)
        last = last->next;
    if (!last)
        return;
    last->next = __atomic_load_n(&g_lu.stranded, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&g_lu.stranded, &last->next, threads, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        ;
}

static bool note_lost(uint64_t id)
{
    for (size_t i = 0; i < sizeof(g_lu.lost_space) / sizeof(g_lu.lost_space[0]); i++) {
        uint64_t empty = 0;
        if (__atomic_compare_exchange_n(&g_lu.lost_space[i], &empty, id, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            post_event();
            return true;
        }
    }
    return false;
}

/* Many may die at once: who takes the events is waited for. false: nobody does. */
static bool report_lost(uint64_t id)
{
    const struct timespec moment = {0, 1000000};
    for (int tries = 0; tries < LOST_TRIES; tries++) {
        if (note_lost(id))
            return true;
        nanosleep(&moment, NULL);
    }
    return false;
}

/* A carrier is gone. false: the instance can't go on. */
static bool carrier_died(struct lu_carrier *c, pid_t pid, int status)
{
    uint64_t id = 0;
    struct thread *threads = NULL;
    if (__atomic_load_n(&c->state, __ATOMIC_ACQUIRE) == LU_CARRIER_DYING) {
        lu_carrier_free(c);
        return true;
    }
    const struct timespec moment = {0, 1000000};
    enum carrier_end how = carrier_end(c, &id, &threads);
    for (int tries = 0; how == CARRIER_AWAITS && tries < DEAD_LOCK_TRIES; tries++) {
        nanosleep(&moment, NULL);
        how = carrier_end(c, &id, &threads);
    }
    if (how == CARRIER_ENDED)
        return true;
    if (how == CARRIER_FATAL || how == CARRIER_AWAITS)
        c->tgid = 0; /* soon somebody else's */
    /* Our handlers take SIGSEGV: by it only the host ends a carrier, over restartable sequences */
    bool own_fault = WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
    id = id << 8 | (uint64_t)(own_fault ? SIGSEGV : SIGKILL);
    strand(threads);
    if (how == CARRIER_LOST && report_lost(id))
        return true;
    fprintf(stderr,
            "pal: host process %d of the instance died unexpectedly (%s %d); ending the instance\n",
            (int)pid, WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

static bool reap(void)
{
    int status;
    struct rusage usage;
    pid_t pid;
    bool alive = true;
    while ((pid = (pid_t)wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
        struct lu_carrier *c = carrier_of(pid);
        if (!c)
            continue; /* a child of whoever started us */
        g_lu.reaped_user_ns += (uint64_t)usage.ru_utime.tv_sec * 1000000000u +
                               (uint64_t)usage.ru_utime.tv_usec * 1000u;
        g_lu.reaped_system_ns += (uint64_t)usage.ru_stime.tv_sec * 1000000000u +
                                 (uint64_t)usage.ru_stime.tv_usec * 1000u;
        if (!carrier_died(c, pid, status))
            alive = false;
    }
    return alive;
}

/*
 * SIGKILL to every carrier until none is left: one that is being made meanwhile is found in the next round. Who started us may have left us
 * children of his own: they are nobody to wait for.
 */
static void kill_all(void)
{
    for (;;) {
        bool left = false;
        for (struct lu_carrier *c = lu_carrier_first(); c; c = c->next_made) {
            pid_t tgid = (pid_t)__atomic_load_n(&c->tgid, __ATOMIC_RELAXED); /* 0: ourselves */
            if (c->state == LU_CARRIER_FREE || tgid <= 0)
                continue;
            left = true;
            kill(tgid, SIGKILL);
        }
        if (!left)
            return;
        int status;
        pid_t pid = (pid_t)wait4(-1, &status, __WALL, NULL);
        if (pid < 0 && errno == ECHILD)
            return;
        struct lu_carrier *dead = pid > 0 ? carrier_of(pid) : NULL;
        if (dead)
            dead->tgid = 0;
    }
}

static void forwarded_signals(sigset_t *set)
{
    static const int forwarded[] = {SIGINT,  SIGQUIT,  SIGTERM, SIGHUP,  SIGTSTP,
                                    SIGCONT, SIGWINCH, SIGUSR1, SIGUSR2, SIGALRM};
    for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
        sigaddset(set, forwarded[i]);
}

/*
 * Stop, so that our shell sees it; its SIGCONT comes back through sigwaitinfo. The host lets a terminal's stop signal pass when nobody
 * could continue us (an orphaned process group): then the guest goes on as well.
 */
static void suspend(void)
{
    sigset_t stop, pending;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    signal(SIGTSTP, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    raise(SIGTSTP);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    sigpending(&pending);
    if (!sigismember(&pending, SIGCONT)) {
        __atomic_fetch_or(&g_lu.signal_events, 1ull << (SIGCONT - 1), __ATOMIC_ACQ_REL);
        post_event();
    }
}

/*
 * Deaths are reaped in batches: a fork loop ends thousands of carriers a second, and waking for each would take the processor from
 * the guest. SIGURG is the instance's own call (finish, suspend) and waits for nothing.
 */
#define REAP_DELAY_NS 1000000

static void supervise(const sigset_t *waited)
{
    sigset_t urgent = *waited;
    sigdelset(&urgent, SIGCHLD);
    for (;;) {
        int sig = sigwaitinfo(waited, NULL);
        if (sig == SIGCHLD) {
            struct timespec delay = {0, REAP_DELAY_NS};
            sig = sigtimedwait(&urgent, NULL, &delay);
        }
        if (sig > 0 && sig != SIGURG) {
            __atomic_fetch_or(&g_lu.signal_events, 1ull << (sig - 1), __ATOMIC_ACQ_REL);
            post_event();
        }
        uint32_t finishing = __atomic_load_n(&g_lu.finishing, __ATOMIC_ACQUIRE);
        if (finishing == LU_FINISH_NORMAL || finishing == LU_FINISH_PANIC)
            return;
        if (!reap()) {
            finishing = __atomic_load_n(&g_lu.finishing, __ATOMIC_ACQUIRE);
            if (finishing != LU_FINISH_NORMAL && finishing != LU_FINISH_PANIC) {
                g_lu.finish_status = SIGKILL;
                __atomic_store_n(&g_lu.finishing, LU_FINISH_NORMAL, __ATOMIC_RELEASE);
            }
            return;
        }
        if (__atomic_exchange_n(&g_lu.suspend_requested, 0, __ATOMIC_ACQ_REL))
            suspend();
    }
}

static int open_grants(const struct platform_options *options, char *why, size_t size)
{
    for (size_t i = 0; i < options->grant_count; i++) {
        const struct platform_grant *grant = &options->grants[i];
        int fd = open(grant->path, O_PATH | O_CLOEXEC);
        if (fd < 0) {
            int err = -errno;
            snprintf(why, size, "%s: %s", grant->path, strerror(-err));
            return err;
        }
        int high = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* never among the standard streams */
        close(fd);
        if (high < 0 || lu_host_files_grant(grant->name, high, grant->writable) < 0)
            return fail(why, size, -EMFILE, grant->path);
    }
    for (size_t i = 0; i < options->listener_count; i++) {
        int high = fcntl(options->listeners[i].fd, F_DUPFD_CLOEXEC, 3);
        if (high < 0 || lu_host_sockets_grant(options->listeners[i].name, high) < 0)
            return fail(why, size, -EMFILE, options->listeners[i].name);
    }
    if (options->host_network)
        lu_host_network_grant();
    return 0;
}

/* What patching lacks here; NULL: nothing. */
static const char *patching_lacks(void)
{
    /* Patched sites find their thread by GS, which user code can set only where processor and kernel let it. */
    if (!g_lu.has_fsgsbase)
        return "patching: no FSGSBASE here";
    /* Without, text could not be changed under several threads. */
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands < 0 || !(commands & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE))
        return "patching: the host's membarrier does not synchronise cores";
    return NULL;
}

static int choose_interception(const char *wanted, char *why, size_t size)
{
    bool sud = lu_sud_available();
    bool patch = wanted && strcmp(wanted, "patch") == 0;
    const char *lacks = patching_lacks();
    g_lu.patching = !lacks && (patch || !wanted || strcmp(wanted, "auto") == 0);
    if (patch && lacks)
        return fail(why, size, -ENOTSUP, lacks);
    if (patch || !wanted || strcmp(wanted, "auto") == 0) {
        g_lu.use_seccomp = !sud;
    } else if (strcmp(wanted, "trap") == 0) {
        if (!sud)
            return fail(why, size, -ENOSYS, "syscall user dispatch");
        g_lu.use_seccomp = false;
    } else if (strcmp(wanted, "seccomp") == 0) {
        g_lu.use_seccomp = true;
    } else {
        snprintf(why, size, "--intercept=%s: not one of auto, patch, trap, seccomp", wanted);
        return -EINVAL;
    }
    return 0;
}

static int lu_run(const struct platform_options *options, platform_main entry, const void *blob,
                  size_t size, int *wait_status, char *why, size_t why_size)
{
    int err = lu_layout_check(why, why_size);
    if (err < 0)
        return err;
    fflush(NULL);
    raise_file_limit();
    err = share_data_segment();
    if (err == 0)
        err = lu_shared_init();
    if (err == 0)
        err = lu_aspace_init();
    if (err < 0)
        return fail(why, why_size, err, "shared memory for the instance");
    g_lu.text_start = (uint64_t)__executable_start;
    g_lu.text_end = (uint64_t)etext;
    g_lu.supervisor_pid = (uint32_t)getpid();
    g_lu.has_fsgsbase = getauxval(AT_HWCAP2) & 2;
    g_lu.siblings_may_not_trace = yama_restricts();
    g_lu.detailed_stats = options->detailed_stats;
    g_lu.trace_fd = options->trace_fd;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    g_lu.cpu_count = cpus > 0 ? (unsigned)cpus : 1;
    err = choose_interception(options->intercept, why, why_size);
    if (err == 0)
        err = open_grants(options, why, why_size);
    if (err < 0)
        return err;
    lu_cpu_probe();
    g_lu.cpus_are_numbered_through = sysconf(_SC_NPROCESSORS_CONF) == cpus;
    lu_vdso_find(getauxval(AT_SYSINFO_EHDR), g_lu.cpus_are_numbered_through);
    g_lu.platform = (struct platform){
        .version = PLATFORM_INTERFACE_VERSION,
        .page_size = 4096,
        .features = PLATFORM_FEATURE_FORK | PLATFORM_FEATURE_GUEST | PLATFORM_FEATURE_THREADS |
                    PLATFORM_FEATURE_HOST_FILES | PLATFORM_FEATURE_HOST_SOCKETS,
        .name = "linux_user",
        .guest_min = LU_GUEST_MIN,
        .guest_end = LU_GUEST_END,
        .aspace = &lu_aspace_ops,
        .memory = &lu_memory_ops,
        .guest = &lu_guest_ops,
        .thread = &lu_thread_ops,
        .clock = &lu_clock_ops,
        .host_file = &lu_host_file_ops,
        .host_socket = &lu_host_socket_ops,
        .instance = &lu_instance_ops,
    };
    platform_check(&g_lu.platform);
    platform_panic_through(&g_lu.platform);
    g_boot = (struct boot){
        .entry = entry, .blob = lu_shared_pages_alloc((size + 4096) & ~4095ul), .size = size};
    if (!g_boot.blob)
        return fail(why, why_size, -ENOMEM, "configuration");
    if (size > 0)
        memcpy(g_boot.blob, blob, size);

    sigset_t waited, before;
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGURG);
    if (options->forward_signals)
        forwarded_signals(&waited);
    sigprocmask(SIG_BLOCK, &waited, &before);

    err = find_unneeded();
    if (err < 0)
        return fail(why, why_size, err, "/proc/self/maps");
    struct lu_carrier *zygote = lu_carrier_alloc();
    if (!zygote)
        return fail(why, why_size, -ENOMEM, "memory for the first process");
    struct lu_worker *leader = zygote->leader;
    long pid = lu_clone_call(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_PARENT_SETTID | SIGCHLD,
                             lu_park_stack_top(leader), &zygote->tgid, NULL, zygote_start, leader);
    if (pid < 0)
        return fail(why, why_size, (int)pid, "clone");
    supervise(&waited);
    kill_all();
    if (g_lu.finishing == LU_FINISH_PANIC)
        g_lu.finish_status = SIGABRT;
    struct timespec none = {0, 0};
    while (sigtimedwait(&waited, NULL, &none) > 0)
        ; /* what came during the end is not for whoever runs after us */
    sigprocmask(SIG_SETMASK, &before, NULL);
    *wait_status = g_lu.finish_status;
    return 0;
}

const struct platform_front g_linux_user_front = {
    .name = "linux_user",
    .probe = lu_probe,
    .run = lu_run,
    .fault_arm = lu_fault_arm,
};
