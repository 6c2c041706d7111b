/*
 * sys_poll.c: pipes, and waiting for descriptors.
 */
#include "shim/sys_poll.h"

#include <asm/fcntl.h>
#include <asm/poll.h>
#include <asm/posix_types.h>
#include <linux/resource.h>
#include <linux/time_types.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/fs/file.h"
#include "shim/fs/pipe.h"
#include "shim/shim.h"
#include "shim/signal.h"
#include "shim/wait_time.h"

/* ---- pipes ------------------------------------------------------------------------------------------------------ */

/* pipe(2). Linux copies the numbers out last and closes both again if that fails. */
static long pipe_install(struct task *task, uint64_t addr, uint32_t flags)
{
    struct file *ends[2];
    int fds[2], r;
    enum fd_flags fd_flags = flags & O_CLOEXEC ? FD_CLOSE_ON_EXEC : FD_KEEP;

    if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    r = pipe_create(flags & (O_NONBLOCK | O_DIRECT), ends);
    if (r)
        return r;
    fds[0] = fd_install(task, ends[0], 0, fd_flags);
    if (fds[0] < 0) {
        file_put(ends[1]);
        return fds[0];
    }
    fds[1] = fd_install(task, ends[1], 0, fd_flags);
    if (fds[1] < 0) {
        fd_close(task, fds[0]);
        return fds[1];
    }
    r = user_write(addr, fds, sizeof(fds));
    if (r) {
        fd_close(task, fds[0]);
        fd_close(task, fds[1]);
    }
    return r;
}

long sys_pipe(struct task *task, const struct syscall_args *args)
{
    return pipe_install(task, args->a[0], 0);
}

long sys_pipe2(struct task *task, const struct syscall_args *args)
{
    return pipe_install(task, args->a[0], (uint32_t)args->a[1]);
}

/* ---- poll ------------------------------------------------------------------------------------------------------- */

#define POLL_NEAR 8 /* descriptors handled without an allocation */
#define POLL_ALWAYS (POLLERR | POLLHUP | POLLNVAL)

struct poll_set {
    struct pollfd *fds;
    struct file **files; /* held; NULL: negative or not open */
    unsigned count;
    struct pollfd near_fds[POLL_NEAR];
    struct file *near_files[POLL_NEAR];
};

static int poll_set_init(struct poll_set *set, unsigned count)
{
    set->fds = set->near_fds;
    set->files = set->near_files;
    set->count = count;
    if (count <= POLL_NEAR)
        return 0;
    set->fds = shim_alloc(count * (sizeof(struct pollfd) + sizeof(struct file *)));
    if (!set->fds)
        return -ENOMEM;
    set->files = (struct file **)(void *)(set->fds + count);
    return 0;
}

static void poll_set_free(struct poll_set *set)
{
    if (set->fds != set->near_fds)
        shim_free(set->fds);
}

/* Result: how many have events. Registers with `table`, unless NULL, until the first that has. */
static unsigned poll_look(struct task *task, struct poll_set *set, struct poll_table *table)
{
    unsigned ready = 0;

    for (unsigned i = 0; i < set->count; i++) {
        struct pollfd *p = &set->fds[i];
        uint32_t wanted = (uint16_t)p->events | POLLERR | POLLHUP, mask = 0;

        if (set->files[i]) {
            if (table)
                table->wanted = wanted;
            mask = file_poll(task, set->files[i], table);
            if (mask & POLLIN)
                mask |= POLLRDNORM;
            if (mask & POLLOUT)
                mask |= POLLWRNORM;
            mask &= wanted | POLLNVAL;
        } else if (p->fd >= 0) {
            mask = POLLNVAL;
        }
        p->revents = (short)mask;
        if (mask) {
            ready++;
            table = NULL; /* no sleep will follow */
        }
    }
    return ready;
}

/* Result: number of ready descriptors, 0 at the deadline, -ERESTARTSYS, -ENOMEM. deadline 0: do not sleep. */
static int poll_wait(struct task *task, struct poll_set *set, uint64_t deadline_ns)
{
    struct poll_table table;
    int ready, r = 0;

    for (unsigned i = 0; i < set->count; i++)
        set->files[i] = set->fds[i].fd >= 0 ? fd_get(task, set->fds[i].fd) : NULL;
    poll_table_init(&table);
    ready = (int)poll_look(task, set, deadline_ns ? &table : NULL);
    if (table.failed && !ready)
        r = -ENOMEM;
    while (!ready && !r && deadline_ns) {
        r = poll_table_sleep(task, &table, deadline_ns);
        ready = (int)poll_look(task, set, &table);
    }
    poll_table_end(&table);
    for (unsigned i = 0; i < set->count; i++)
        if (set->files[i])
            file_put(set->files[i]);
    if (ready || r == -ETIMEDOUT)
        return ready;
    return r;
}

static long do_poll(struct task *task, uint64_t addr, uint64_t count, uint64_t deadline_ns)
{
    struct poll_set set;
    long r;

    if ((unsigned)count > task->process->rlimits[RLIMIT_NOFILE].cur)
        return -EINVAL;
    r = poll_set_init(&set, (unsigned)count);
    if (r)
        return r;
    r = user_read(set.fds, addr, set.count * sizeof(struct pollfd));
    if (!r)
        r = poll_wait(task, &set, deadline_ns);
    for (unsigned i = 0; r >= 0 && i < set.count; i++)
        if (user_write(addr + i * sizeof(struct pollfd) + offsetof(struct pollfd, revents),
                       &set.fds[i].revents, sizeof(set.fds[i].revents)))
            r = -EFAULT;
    poll_set_free(&set);
    return r;
}

static long poll_resume(struct task *task)
{
    long r = do_poll(task, task->restart.arg[0], task->restart.arg[1], task->restart.deadline_ns);

    return r == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : r;
}

long sys_poll(struct task *task, const struct syscall_args *args)
{
    int timeout_ms = (int)args->a[2];
    uint64_t deadline = wait_deadline_ms(timeout_ms);
    long r = do_poll(task, args->a[0], args->a[1], deadline);

    if (r != -ERESTARTSYS)
        return r;
    task->restart = (struct restart_block){
        .resume = poll_resume, .deadline_ns = deadline, .arg = {args->a[0], args->a[1]}};
    return -ERESTART_RESTARTBLOCK;
}

/* ppoll, pselect6 and epoll_pwait end by -EINTR, never by a restart of their own, when a handler ran. */
static long end_masked(long r)
{
    return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

/* ppoll(2). The system call writes the time that is left back; a failure to do so is ignored, as in Linux. */
long sys_ppoll(struct task *task, const struct syscall_args *args)
{
    uint64_t deadline;
    int r = wait_deadline_user(args->a[2], &deadline);

    if (!r)
        r = wait_mask_user(task, args->a[3], args->a[4]);
    if (r)
        return r;
    long result = do_poll(task, args->a[0], args->a[1], deadline);
    wait_time_left(args->a[2], deadline);
    return end_masked(result);
}

/* ---- select ----------------------------------------------------------------------------------------------------- */

#define SELECT_IN (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EX POLLPRI

struct select_bits {
    uint64_t *set[3]; /* in, out, exceptions; one allocation, starts at set[0] */
    unsigned words;
};

static bool bit_test(const uint64_t *set, unsigned bit)
{
    return set[bit / 64] >> (bit % 64) & 1;
}

static int select_read(struct select_bits *bits, unsigned n, const uint64_t *addr)
{
    bits->words = (n + 63) / 64;
    bits->set[0] = shim_zalloc((size_t)bits->words * 8 * 3 + 8);
    if (!bits->set[0])
        return -ENOMEM;
    for (int s = 0; s < 3; s++) {
        bits->set[s] = bits->set[0] + (size_t)s * bits->words;
        if (addr[s] && user_read(bits->set[s], addr[s], (size_t)bits->words * 8)) {
            shim_free(bits->set[0]);
            return -EFAULT;
        }
        if (n % 64) /* the rest of a word comes back as zeros */
            bits->set[s][n / 64] &= (1ull << (n % 64)) - 1;
    }
    return 0;
}

/* One pollfd for each descriptor in any set. Result: how many; fills set when not NULL. */
static unsigned select_to_poll(const struct select_bits *bits, unsigned n, struct poll_set *set)
{
    static const short events[3] = {(short)SELECT_IN, (short)SELECT_OUT, SELECT_EX};
    unsigned count = 0;

    for (unsigned fd = 0; fd < n; fd++) {
        short wanted = 0;
        for (int s = 0; s < 3; s++)
            if (bit_test(bits->set[s], fd))
                wanted |= events[s];
        if (!wanted)
            continue;
        if (set)
            set->fds[count] = (struct pollfd){.fd = (int)fd, .events = wanted};
        count++;
    }
    return count;
}

/* Leaves only what is ready in the sets. Result: bits left. */
static int select_from_poll(struct select_bits *bits, const struct poll_set *set)
{
    static const short events[3] = {(short)SELECT_IN, (short)SELECT_OUT, SELECT_EX};
    int total = 0;

    for (unsigned i = 0; i < set->count; i++) {
        unsigned fd = (unsigned)set->fds[i].fd;
        for (int s = 0; s < 3; s++) {
            if (!bit_test(bits->set[s], fd))
                continue;
            if (set->fds[i].revents & events[s])
                total++;
            else
                bits->set[s][fd / 64] &= ~(1ull << (fd % 64));
        }
    }
    return total;
}

static long do_select(struct task *task, const struct syscall_args *args, uint64_t deadline_ns)
{
    int n = (int)args->a[0];
    struct select_bits bits;
    struct poll_set set;
    long r;

    if (n < 0)
        return -EINVAL;
    /* Beyond the table nothing is looked at, not even whether it is open, and nothing written: as Linux does. */
    if ((unsigned)n > fd_table_size(task))
        n = (int)fd_table_size(task);
    r = select_read(&bits, (unsigned)n, &args->a[1]);
    if (r)
        return r;
    r = poll_set_init(&set, select_to_poll(&bits, (unsigned)n, NULL));
    if (r)
        goto out;
    select_to_poll(&bits, (unsigned)n, &set);
    r = poll_wait(task, &set, deadline_ns);
    for (unsigned i = 0; r > 0 && i < set.count; i++)
        if (set.fds[i].revents & POLLNVAL)
            r = -EBADF;
    if (r >= 0)
        r = select_from_poll(&bits, &set);
    for (int s = 0; r >= 0 && s < 3; s++)
        if (args->a[1 + s] && user_write(args->a[1 + s], bits.set[s], (size_t)bits.words * 8))
            r = -EFAULT;
    poll_set_free(&set);
out:
    shim_free(bits.set[0]);
    return r;
}

/* select(2). Linux's timeout is a struct timeval that receives the time left. */
long sys_select(struct task *task, const struct syscall_args *args)
{
    struct __kernel_old_timeval tv;
    uint64_t deadline = THREAD_WAIT_FOREVER;
    long r;

    if (args->a[4]) {
        r = user_read(&tv, args->a[4], sizeof(tv));
        if (r)
            return r;
        if (tv.tv_sec < 0 || tv.tv_usec < 0)
            return -EINVAL;
        int64_t sec = tv.tv_sec + tv.tv_usec / 1000000;
        deadline = wait_deadline(sec, (tv.tv_usec % 1000000) * 1000);
    }
    r = do_select(task, args, deadline);
    if (args->a[4]) {
        uint64_t left = wait_left(deadline);
        tv = (struct __kernel_old_timeval){(__kernel_long_t)(left / 1000000000),
                                           (__kernel_long_t)(left % 1000000000 / 1000)};
        if (user_write(args->a[4], &tv, sizeof(tv)) && r == -ERESTARTSYS)
            return -EINTR;
    }
    return end_masked(r);
}

long sys_pselect6(struct task *task, const struct syscall_args *args)
{
    struct {
        uint64_t mask, size;
    } sig = {0, 0};
    uint64_t deadline;
    long r = 0;

    if (args->a[5])
        r = user_read(&sig, args->a[5], sizeof(sig));
    if (!r)
        r = wait_deadline_user(args->a[4], &deadline);
    if (!r)
        r = wait_mask_user(task, sig.mask, sig.size);
    if (r)
        return r;
    r = do_select(task, args, deadline);
    wait_time_left(args->a[4], deadline);
    return end_masked(r);
}
