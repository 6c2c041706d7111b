/*
 * thread.c: threads, one run queue for all processors, waiting with deadlines.
 *
 * A thread gives up its processor in switch_away(), with g_sched.lock held; whoever runs next there releases it. A processor
 * with nothing to do runs its idle thread. The timer is armed only when somebody waits: for a deadline, or for the processor.
 */
#include "platform/thread.h"

#include "platform/contract.h"
#include "platform/errno.h"
#include "platform/guest_memory.h"
#include "platform/kvm/image/cpu.h"
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_aspace.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/machine.h"
#include "platform/kvm/image/mm_env.h"

#define SLICE_NS 4000000u
#define WAIT_BUCKETS 64u
#define STACK_CANARY 0x9e3779b97f4a7c15ull
#define STACKS_MAX 32768u

struct thread_list {
    struct thread *first, *last;
};

static struct {
    uint32_t lock;
    /* under lock: */
    struct thread_list ready;
    struct thread_list waiting[WAIT_BUCKETS];
    struct thread *first_timed; /* by deadline */
    struct thread *free_stacks;
    uint32_t stack_count;
    /* Switched away from for ever; whoever runs next on that processor frees it */
    struct thread *dead;
} g_sched;

static void sched_lock(void)
{
    while (__atomic_exchange_n(&g_sched.lock, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void sched_unlock(void)
{
    __atomic_store_n(&g_sched.lock, 0, __ATOMIC_RELEASE);
}

static void list_append(struct thread_list *list, struct thread *t)
{
    t->next = NULL;
    t->prev = list->last;
    if (list->last)
        list->last->next = t;
    else
        list->first = t;
    list->last = t;
}

static void list_remove(struct thread_list *list, struct thread *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        list->first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        list->last = t->prev;
    t->next = t->prev = NULL;
}

static struct thread_list *bucket_of(const uint32_t *word)
{
    return &g_sched.waiting[((uint64_t)word >> 2) * 0x9e3779b97f4a7c15ull >> 58];
}
_Static_assert(WAIT_BUCKETS == 1u << 6, "the shift above");

static void timed_insert(struct thread *t)
{
    struct thread *before = NULL, *after = g_sched.first_timed;
    while (after && after->deadline_ns <= t->deadline_ns) {
        before = after;
        after = after->next_timed;
    }
    t->prev_timed = before;
    t->next_timed = after;
    if (before)
        before->next_timed = t;
    else
        g_sched.first_timed = t;
    if (after)
        after->prev_timed = t;
}

static void timed_remove(struct thread *t)
{
    if (t->deadline_ns == THREAD_WAIT_FOREVER)
        return;
    if (t->prev_timed)
        t->prev_timed->next_timed = t->next_timed;
    else
        g_sched.first_timed = t->next_timed;
    if (t->next_timed)
        t->next_timed->prev_timed = t->prev_timed;
    t->next_timed = t->prev_timed = NULL;
    t->deadline_ns = THREAD_WAIT_FOREVER;
}

/* A processor that sleeps, if there is one. Lock held. */
static void wake_processor(const struct cpu *self)
{
    for (unsigned i = 0; i < g_boot.cpu_count; i++) {
        struct cpu *cpu = &g_cpu[i];
        if (cpu != self && cpu->idling) {
            cpu->idling = 0; /* woken once */
            apic_send(i, VECTOR_RESCHEDULE);
            return;
        }
    }
}

/* When the timer must fire for this processor. Lock held. */
static void arm_timer(struct cpu *cpu)
{
    uint64_t at = UINT64_MAX;
    if (g_sched.first_timed)
        at = clock_tsc_of(g_sched.first_timed->deadline_ns);
    if (g_sched.ready.first) {
        uint64_t slice = clock_tsc_of(clock_monotonic() + SLICE_NS);
        if (slice < at)
            at = slice;
    }
    /* What is armed too early does no harm and costs less than arming again. */
    if (at < cpu->timer_at)
        apic_arm(cpu, at);
}

/* Lock held. */
static void make_ready(struct thread *t)
{
    struct cpu *self = this_cpu();
    timed_remove(t);
    t->state = THREAD_READY;
    list_append(&g_sched.ready, t);
    wake_processor(self);
    arm_timer(self);
}

static void free_dead(void)
{
    struct thread *t = g_sched.dead;
    if (!t)
        return;
    g_sched.dead = NULL;
    t->next_free = g_sched.free_stacks;
    g_sched.free_stacks = t;
}

static void count_time(struct thread *t, struct cpu *cpu)
{
    uint64_t now = read_tsc(), ran = now - t->since_tsc;
    t->used_tsc += ran;
    if (t != cpu->idle)
        cpu->used_tsc += ran;
    t->since_tsc = now;
}

/*
 * Let another thread run on this processor; the caller has put `t` where it belongs. Lock held before and after, interrupts off;
 * returns when `t` runs again, on whichever processor.
 */
static void switch_away(struct thread *t)
{
    struct cpu *cpu = t->cpu;
    struct thread *next = g_sched.ready.first;
    PLATFORM_REQUIRE(t->canary == STACK_CANARY);
    if (next)
        list_remove(&g_sched.ready, next);
    else
        next = cpu->idle;
    cpu->reschedule = 0;
    arm_timer(cpu);
    count_time(t, cpu);
    next->state = THREAD_RUNNING;
    next->cpu = cpu;
    next->since_tsc = t->since_tsc;
    if (next == t)
        return;
    context_save_live(t);
    t->disturbed = true;
    tlb_load(cpu, next->aspace);
    thread_switch(t, next);
    free_dead();
}

void thread_reschedule(void)
{
    struct thread *t = current();
    struct cpu *cpu = t->cpu;
    cpu->reschedule = 0;
    sched_lock();
    if (g_sched.ready.first && t != cpu->idle) {
        t->state = THREAD_READY;
        list_append(&g_sched.ready, t);
        switch_away(t);
    }
    sched_unlock();
}

void thread_timer(void)
{
    struct cpu *cpu = this_cpu();
    sched_lock();
    cpu->timer_at = UINT64_MAX;
    uint64_t now = clock_monotonic();
    while (g_sched.first_timed && g_sched.first_timed->deadline_ns <= now) {
        struct thread *t = g_sched.first_timed;
        if (t->state == THREAD_WAITING)
            list_remove(bucket_of(t->word), t);
        t->timed_out = true;
        make_ready(t);
    }
    cpu->reschedule = g_sched.ready.first != NULL;
    arm_timer(cpu);
    sched_unlock();
}

/* Runs when nothing else does. */
static NO_RETURN void idle_loop(void *arg UNUSED)
{
    struct cpu *cpu = current()->cpu;
    for (;;) {
        interrupts_disable();
        sched_lock();
        if (g_sched.ready.first) {
            cpu->idle->state = THREAD_DEAD; /* in no queue */
            switch_away(cpu->idle);
            sched_unlock();
            continue;
        }
        cpu->idling = 1;
        arm_timer(cpu);
        sched_unlock();
        /* An interrupt that came since the look wakes it */
        __asm__ volatile("sti; hlt" : : : "memory");
        interrupts_disable();
        __atomic_store_n(&cpu->idling, 0, __ATOMIC_RELEASE);
    }
}

static void first_code(void)
{
    struct thread *t = current();
    free_dead();
    sched_unlock();
    __asm__ volatile("sti" : : : "memory");
    t->fn(t->arg);
    platform_panic("a thread's entry returned instead of calling thread_exit");
}

static struct thread *stack_new(void)
{
    uint64_t flags = interrupts_disable();
    sched_lock();
    struct thread *t = g_sched.free_stacks;
    if (t)
        g_sched.free_stacks = t->next_free;
    uint32_t slot = t || g_sched.stack_count == STACKS_MAX ? STACKS_MAX : g_sched.stack_count++;
    sched_unlock();
    interrupts_restore(flags);
    if (t) {
        uint64_t physical = t->stack_physical;
        *t = (struct thread){.stack_physical = physical};
        return t;
    }
    if (slot == STACKS_MAX)
        return NULL;
    /* A slot whose memory is not to be had stays unused: that is the end of the line anyway. */
    void *memory = kvm_memory_ops.shim_alloc(&g_kvm_platform, THREAD_STACK_SIZE);
    if (!memory)
        return NULL;
    static uint32_t map_lock; /* the tables of the stack area */
    uint64_t base = STACK_AREA + slot * STACK_SLOT + THREAD_STACK_SIZE;
    flags = interrupts_disable();
    while (__atomic_exchange_n(&map_lock, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
    bool mapped = kernel_map_stack(base, image_physical(memory), THREAD_STACK_SIZE);
    __atomic_store_n(&map_lock, 0, __ATOMIC_RELEASE);
    interrupts_restore(flags);
    if (!mapped) {
        kvm_memory_ops.shim_free(&g_kvm_platform, memory, THREAD_STACK_SIZE);
        return NULL;
    }
    t = thread_of_stack(base);
    *t = (struct thread){.stack_physical = image_physical(memory)};
    return t;
}

static struct thread *thread_new(thread_entry entry, void *arg)
{
    struct thread *t = mm_allocation_fails() ? NULL : stack_new();
    if (!t)
        return NULL;
    t->fn = entry;
    t->arg = arg;
    t->canary = STACK_CANARY;
    t->deadline_ns = THREAD_WAIT_FOREVER;
    /* As thread_switch leaves it: six registers and a return address, aligned as after a call. */
    uint64_t *sp = (uint64_t *)t;
    *--sp = 0;
    *--sp = (uint64_t)first_code;
    sp -= 6;
    t->saved_sp = (uint64_t)sp;
    return t;
}

static NO_RETURN void enter_idle(struct cpu *cpu)
{
    sched_lock();
    cpu->idle->cpu = cpu;
    cpu->idle->state = THREAD_RUNNING;
    cpu->idle->since_tsc = read_tsc();
    thread_switch_to(NULL, cpu->idle);
}

void threads_start(thread_entry entry, void *arg)
{
    for (unsigned i = 0; i < g_boot.cpu_count; i++) {
        g_cpu[i].idle = thread_new(idle_loop, NULL);
        PLATFORM_REQUIRE(g_cpu[i].idle != NULL);
    }
    struct thread *first = thread_new(entry, arg);
    PLATFORM_REQUIRE(first != NULL);
    first->state = THREAD_READY;
    list_append(&g_sched.ready, first);
    enter_idle(&g_cpu[0]);
}

void threads_start_other(struct cpu *cpu)
{
    enter_idle(cpu);
}

static int kvm_thread_spawn(struct platform *p UNUSED, const struct aspace *base,
                            thread_entry entry, void *arg, struct thread **out)
{
    struct thread *t = thread_new(entry, arg);
    if (!t)
        return -ENOMEM;
    if (base) {
        t->aspace = kvm_aspace_of(base);
        kvm_aspace_adopt(t->aspace);
    }
    *out = t;
    uint64_t flags = interrupts_disable();
    sched_lock();
    make_ready(t);
    sched_unlock();
    interrupts_restore(flags);
    return 0;
}

static NO_RETURN void kvm_thread_exit(struct platform *p, struct aspace *last)
{
    struct thread *t = current();
    t->live = NULL;
    kvm_aspace_leave();
    if (last)
        aspace_destroy(p, last);
    interrupts_disable();
    sched_lock();
    t->state = THREAD_DEAD;
    g_sched.dead = t;
    switch_away(t);
    __builtin_unreachable();
}

static struct thread *kvm_thread_current(struct platform *p UNUSED)
{
    return current();
}

/* Sleep in `state`. Lock held. */
static void sleep_until(struct thread *t, enum thread_state state, uint64_t deadline_ns)
{
    t->state = state;
    t->timed_out = false;
    t->deadline_ns = deadline_ns;
    if (deadline_ns != THREAD_WAIT_FOREVER)
        timed_insert(t);
    switch_away(t);
}

/* Result: 0 or -ETIMEDOUT. */
static int park(uint64_t deadline_ns)
{
    struct thread *t = current();
    int result = 0;
    uint64_t flags = interrupts_disable();
    sched_lock();
    if (!t->token) {
        sleep_until(t, THREAD_PARKED, deadline_ns);
        result = t->timed_out && !t->token ? -ETIMEDOUT : 0;
    }
    t->token = 0;
    sched_unlock();
    interrupts_restore(flags);
    return result;
}

static int park_on_files(uint64_t deadline_ns, struct thread_wait_file *files, size_t count)
{
    struct kvm_wait_file list[KVM_WAIT_FILES_MAX];
    if (count > KVM_WAIT_FILES_MAX)
        count = KVM_WAIT_FILES_MAX; /* the caller's next round looks at the rest */
    for (size_t i = 0; i < count; i++)
        list[i] = (struct kvm_wait_file){.handle = kvm_file_handle(files[i].file),
                                         .events = files[i].events};
    const struct kvm_request request = {
        .op = KVM_OP_WAIT_FILES, .buffer = image_physical(list), .size = count * sizeof(list[0])};
    struct kvm_request *submitted = submit_begin(&request, current());
    if (!submitted)
        return 0;
    int result = submit_done(submitted) ? 0 : park(deadline_ns);
    int64_t ready = submit_end(submitted);
    for (size_t i = 0; i < count; i++)
        files[i].ready = ready > 0 ? list[i].ready : 0;
    return ready > 0 ? 1 : result;
}

static int kvm_thread_park(struct platform *p UNUSED, uint64_t deadline_ns,
                           struct thread_wait_file *files, size_t count)
{
    return count > 0 ? park_on_files(deadline_ns, files, count) : park(deadline_ns);
}

static void kvm_thread_unpark(struct platform *p UNUSED, struct thread *t)
{
    uint64_t flags = interrupts_disable();
    sched_lock();
    t->token = 1;
    if (t->state == THREAD_PARKED)
        make_ready(t);
    sched_unlock();
    interrupts_restore(flags);
}

static int kvm_thread_wait(struct platform *p UNUSED, uint32_t *word, uint32_t expected,
                           uint64_t deadline_ns)
{
    struct thread *t = current();
    int result = -EAGAIN;
    uint64_t flags = interrupts_disable();
    sched_lock();
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == expected) {
        t->word = word;
        list_append(bucket_of(word), t);
        sleep_until(t, THREAD_WAITING, deadline_ns);
        result = t->timed_out ? -ETIMEDOUT : 0;
    }
    sched_unlock();
    interrupts_restore(flags);
    return result;
}

static int kvm_thread_wake(struct platform *p UNUSED, uint32_t *word, uint32_t count)
{
    uint64_t flags = interrupts_disable();
    uint32_t woken = 0;
    sched_lock();
    struct thread *next;
    for (struct thread *t = bucket_of(word)->first; t && woken < count; t = next) {
        next = t->next;
        if (t->word != word)
            continue;
        list_remove(bucket_of(word), t);
        make_ready(t);
        woken++;
    }
    sched_unlock();
    interrupts_restore(flags);
    return (int)woken;
}

static void kvm_thread_yield(struct platform *p UNUSED)
{
    uint64_t flags = interrupts_disable();
    thread_reschedule();
    interrupts_restore(flags);
}

static unsigned kvm_thread_cpu_count(struct platform *p UNUSED)
{
    return g_boot.cpu_count;
}

static unsigned kvm_thread_cpu_current(struct platform *p UNUSED)
{
    return current()->cpu->index;
}

/* Processors' counters may differ by a little. */
static uint64_t ticks_since(uint64_t tsc)
{
    const uint64_t now = read_tsc();
    return now > tsc ? now - tsc : 0;
}

static void kvm_thread_cpu_time(struct platform *p UNUSED, struct thread *t, uint64_t *user_ns,
                                uint64_t *system_ns)
{
    uint64_t user = 0, all = 0;
    uint64_t flags = interrupts_disable();
    sched_lock();
    count_time(current(), this_cpu());
    if (t) {
        const uint64_t entered = __atomic_load_n(&t->entered_tsc, __ATOMIC_ACQUIRE);
        user = __atomic_load_n(&t->guest_tsc, __ATOMIC_RELAXED);
        all = t->used_tsc;
        /* It may run elsewhere for as long as it likes without being counted. */
        if (t->state == THREAD_RUNNING) {
            all += ticks_since(t->since_tsc);
            user += entered ? ticks_since(entered) : 0;
        }
    } else {
        for (unsigned i = 0; i < g_boot.cpu_count; i++)
            all += g_cpu[i].used_tsc;
    }
    sched_unlock();
    interrupts_restore(flags);
    *user_ns = clock_ns_of_ticks(user < all ? user : all);
    *system_ns = clock_ns_of_ticks(all) - *user_ns;
}

const struct thread_ops kvm_thread_ops = {
    .spawn = kvm_thread_spawn,
    .exit = kvm_thread_exit,
    .current = kvm_thread_current,
    .park = kvm_thread_park,
    .unpark = kvm_thread_unpark,
    .wait = kvm_thread_wait,
    .wake = kvm_thread_wake,
    .yield = kvm_thread_yield,
    .cpu_count = kvm_thread_cpu_count,
    .cpu_current = kvm_thread_cpu_current,
    .cpu_time = kvm_thread_cpu_time,
};
