/*
 * instance.c: the end of the run, events from the supervisor, and lines for people. The supervisor's half is supervisor.c.
 */
#include "platform/linux_user/lu.h"

#include <linux/futex.h>
#include <asm/signal.h>

static void tell_supervisor(void)
{
    host_call(__NR_kill, g_lu.supervisor_pid, SIGURG);
}

static bool take_event(struct instance_event *out)
{
    /* First: who hears of a lost space interrupts its threads */
    lu_threads_rescue();
    for (size_t i = 0; i < sizeof(g_lu.lost_space) / sizeof(g_lu.lost_space[0]); i++) {
        uint64_t id = __atomic_exchange_n(&g_lu.lost_space[i], 0, __ATOMIC_ACQ_REL);
        if (id) {
            *out = (struct instance_event){.kind = INSTANCE_EVENT_SPACE_LOST,
                                           .number = (int)(id & 0xff),
                                           .aspace_id = id >> 8};
            return true;
        }
    }
    uint64_t bits = __atomic_load_n(&g_lu.signal_events, __ATOMIC_ACQUIRE);
    if (!bits)
        return false;
    int lowest = __builtin_ctzll(bits);
    __atomic_fetch_and(&g_lu.signal_events, ~(1ull << lowest), __ATOMIC_ACQ_REL);
    *out = (struct instance_event){.kind = INSTANCE_EVENT_SIGNAL, .number = lowest + 1};
    return true;
}

static int lu_next_event(struct platform *p UNUSED, struct instance_event *out)
{
    for (;;) {
        uint32_t seen = __atomic_load_n(&g_lu.event_word, __ATOMIC_ACQUIRE);
        if (take_event(out))
            return 0;
        host_call(__NR_futex, &g_lu.event_word, FUTEX_WAIT, seen, 0);
    }
}

static void lu_suspend(struct platform *p UNUSED)
{
    __atomic_store_n(&g_lu.suspend_requested, 1, __ATOMIC_RELEASE);
    tell_supervisor();
}

static NO_RETURN void lu_finish(struct platform *p UNUSED, int wait_status)
{
    uint32_t first = 0;
    if (__atomic_compare_exchange_n(&g_lu.finishing, &first, LU_FINISH_CLAIMED, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        if (g_lu.detailed_stats)
            lu_patch_report();
        g_lu.finish_status = wait_status;
        __atomic_store_n(&g_lu.finishing, LU_FINISH_NORMAL, __ATOMIC_RELEASE);
    }
    for (;;) {
        tell_supervisor();
        struct {
            int64_t sec, nsec;
        } pause = {1, 0};
        host_call(__NR_nanosleep, &pause, 0); /* until the supervisor's SIGKILL */
    }
}

static void write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        long done = host_call(__NR_write, fd, text, size);
        if (done == -EINTR)
            continue;
        if (done == -EAGAIN) { /* somebody made the stream non-blocking */
            struct {
                int64_t sec, nsec;
            } pause = {0, 1000000};
            host_call(__NR_nanosleep, &pause, 0);
            continue;
        }
        if (done <= 0)
            return;
        text += done;
        size -= (size_t)done;
    }
}

static void write_line(const char *prefix, const char *text)
{
    char line[1024];
    size_t length = 0;
    for (const char *part = prefix; *part && length < sizeof(line) - 1; part++)
        line[length++] = *part;
    for (; *text && length < sizeof(line) - 1; text++)
        line[length++] = *text;
    line[length++] = '\n';
    write_all(2, line, length);
}

static void lu_message(struct platform *p UNUSED, const char *text)
{
    write_line("", text);
}

static void lu_trace(struct platform *p UNUSED, const char *text, size_t size)
{
    if (g_lu.trace_fd >= 0)
        write_all(g_lu.trace_fd, text, size);
}

static NO_RETURN void lu_panic(struct platform *p UNUSED, const char *message)
{
    write_line("pal: internal error: ", message);
    __atomic_store_n(&g_lu.finishing, LU_FINISH_PANIC, __ATOMIC_RELEASE);
    if ((uint32_t)host_call(__NR_getpid) == g_lu.supervisor_pid)
        host_call(__NR_kill, g_lu.supervisor_pid, SIGABRT);
    tell_supervisor();
    for (;;)
        host_call(__NR_exit_group, 70);
}

static uint64_t lu_memory_used(struct platform *p UNUSED, uint64_t enough)
{
    return lu_objects_used() + lu_carriers_used(enough);
}

const struct instance_ops lu_instance_ops = {
    .next_event = lu_next_event,
    .suspend = lu_suspend,
    .finish = lu_finish,
    .message = lu_message,
    .trace = lu_trace,
    .panic = lu_panic,
    .memory_used = lu_memory_used,
};
