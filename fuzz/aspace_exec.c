/*
 * aspace_exec.c: operations on a platform and on the model, side by side.
 *
 * Operations run one at a time, each on the thread it names, so the model needs no locks; the
 * platform sees several threads that are inside different spaces at the same time. Each input
 * starts with one space, entered by thread 0, whose window is half mapped.
 */
#include "fuzz/aspace_exec.h"

#include "fuzz/aspace_model.h"
#include "platform/address_space.h"
#include "platform/errno.h"
#include "platform/guest_memory.h"
#include "platform/instance.h"
#include "platform/platform.h"
#include "platform/thread.h"

enum { PAGE = MODEL_PAGE_SIZE, THREADS = 4, NOWHERE = -1 };
/* Across an edge of page tables of every level. */
#define WINDOW (UINT64_C(0x8000000000) - MODEL_PAGES / 2 * PAGE)

struct operation {
    uint8_t what, a, b, c;
};

struct fuzz_thread {
    int inside;    /* index of a space, or NOWHERE */
    uint32_t turn; /* 1: `op` is to be done; 0: it was */
    struct operation op;
};

static struct {
    struct platform *p;
    const struct platform_front *front;
    struct aspace_channel *channel;
    struct model model;
    struct aspace *tokens[MODEL_SPACES];
    struct memory_object *objects[MODEL_OBJECTS];
    struct fuzz_thread threads[THREADS];
    unsigned thread_count;
    unsigned step;  /* number of the operation, for messages */
    uint64_t value; /* next one to write: no two writes are alike */
    uint32_t last_feature;
} g;

/* What a step met: a counter for it and for the pair with the step before. */
static void feature(uint32_t what)
{
    g.channel->counters[what % (CHANNEL_COUNTERS / 2)]++;
    uint32_t pair = (g.last_feature * 31 + what) % (CHANNEL_COUNTERS / 2);
    g.channel->counters[CHANNEL_COUNTERS / 2 + pair]++;
    g.last_feature = what;
}

static NO_RETURN void fail(const char *what, uint64_t got, uint64_t expected)
{
    static const char digits[] = "0123456789abcdef";
    char *out = g.channel->text;
    size_t at = 0;
    for (; what[at] && at < 160; at++)
        out[at] = what[at];
    const uint64_t numbers[] = {g.step, got, expected};
    const char *const names[] = {"; step ", ", got ", ", expected "};
    for (int i = 0; i < 3; i++) {
        for (const char *s = names[i]; *s; s++)
            out[at++] = *s;
        for (int shift = 60; shift >= 0; shift -= 4)
            if (numbers[i] >> shift || shift == 0)
                out[at++] = digits[numbers[i] >> shift & 15];
    }
    out[at] = '\0';
    g.channel->failed = 1;
    channel_give(g.channel, CHANNEL_FUZZER);
    instance_finish(g.p, 1 << 8);
}

static void expect(const char *what, uint64_t got, uint64_t expected)
{
    if (got != expected)
        fail(what, got, expected);
}

static struct guest_addr address(unsigned page, unsigned cell)
{
    return guest_addr(WINDOW + page * (uint64_t)PAGE + g_model_cell_offset[cell]);
}

static struct guest_addr page_address(unsigned page)
{
    return address(page, 0);
}

/* A count of pages from a byte, such that [page, page + count) is in the window. */
static unsigned count_from(unsigned page, unsigned byte)
{
    unsigned count = 1 + byte % 4;
    return page + count > MODEL_PAGES ? MODEL_PAGES - page : count;
}

static unsigned prot_from(unsigned byte)
{
    static const unsigned prots[] = {MEMORY_READ | MEMORY_WRITE, MEMORY_READ | MEMORY_WRITE,
                                     MEMORY_READ, MEMORY_NONE, MEMORY_READ | MEMORY_EXEC};
    return prots[byte % (sizeof(prots) / sizeof(*prots))];
}

static int live_space(unsigned byte)
{
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        if (g.model.spaces[(byte + i) % MODEL_SPACES].live)
            return (int)((byte + i) % MODEL_SPACES);
    return NOWHERE;
}

static int free_space(void)
{
    for (int i = 0; i < MODEL_SPACES; i++)
        if (!g.model.spaces[i].live)
            return i;
    return NOWHERE;
}

static bool somebody_inside(int space)
{
    for (unsigned i = 0; i < g.thread_count; i++)
        if (g.threads[i].inside == space)
            return true;
    return false;
}

/* Every page of a space, seen from elsewhere. */
static void verify_space(unsigned space)
{
    static unsigned char bytes[PAGE], expected[PAGE];
    for (unsigned page = 0; page < MODEL_PAGES; page++) {
        size_t left = aspace_peek(g.p, g.tokens[space], bytes, page_address(page), PAGE);
        if (!model_can_read(&g.model, space, page)) {
            expect("an unreachable page was read", left, PAGE);
            continue;
        }
        expect("a page could not be read", left, 0);
        __builtin_memset(expected, 0, PAGE);
        for (unsigned cell = 0; cell < MODEL_CELLS; cell++) {
            uint64_t value = model_get(&g.model, space, page, cell), seen;
            __builtin_memcpy(&seen, bytes + g_model_cell_offset[cell], sizeof(seen));
            expect("a cell differs", seen, value);
            __builtin_memcpy(expected + g_model_cell_offset[cell], &value, sizeof(value));
        }
        if (__builtin_memcmp(bytes, expected, PAGE) != 0)
            fail("a byte nobody wrote differs", page, space);
    }
}

static void verify_objects(void)
{
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        expect("an object's size differs", memory_object_size(g.p, g.objects[i]),
               g.model.objects[i].pages * (uint64_t)PAGE);
        for (unsigned page = 0; page < g.model.objects[i].pages; page++)
            for (unsigned cell = 0; cell < MODEL_CELLS; cell++) {
                uint64_t value = 0, offset = page * (uint64_t)PAGE + g_model_cell_offset[cell];
                expect("an object could not be read",
                       (uint64_t)memory_object_read(g.p, g.objects[i], offset, mem_shim(&value, 8)),
                       8);
                expect("an object's cell differs", value, g.model.objects[i].cells[page][cell]);
            }
    }
}

/* Operations. `here` is the space the thread is inside, or NOWHERE. */

static bool is_shortage(int err)
{
    return err == -ENOMEM || err == -EAGAIN || err == -ENOTSUP;
}

static void do_create(void)
{
    int err = 0, space = free_space();
    if (space == NOWHERE)
        return;
    struct aspace *as = aspace_create(g.p, &err);
    if (!as) {
        if (!is_shortage(err))
            fail("create: strange error", (uint64_t)-err, 0);
        return;
    }
    g.tokens[space] = as;
    model_create(&g.model, (unsigned)space);
    feature(0x100 + (unsigned)space);
}

static void do_fork(const struct operation *op, unsigned fail_at)
{
    int err = 0, parent = live_space(op->a), child = free_space();
    if (parent == NOWHERE || child == NOWHERE)
        return;
    if (fail_at)
        g.front->fault_arm(fail_at);
    struct aspace *as = aspace_fork(g.p, g.tokens[parent], &err);
    if (fail_at)
        feature(0x200 + g.front->fault_arm(0) * 32 + fail_at);
    if (!as) {
        if (!is_shortage(err))
            fail("fork: strange error", (uint64_t)-err, 0);
        verify_space((unsigned)parent);
        return;
    }
    g.tokens[child] = as;
    model_fork(&g.model, (unsigned)parent, (unsigned)child);
    feature(0x300 + (unsigned)parent * MODEL_SPACES + (unsigned)child);
}

static void do_activate(struct fuzz_thread *t, const struct operation *op)
{
    int space = op->a % 8 == 7 ? NOWHERE : live_space(op->a);
    int err = aspace_activate(g.p, space == NOWHERE ? NULL : g.tokens[space]);
    if (err && !is_shortage(err))
        fail("activate: strange error", (uint64_t)-err, 0);
    if (err == 0)
        t->inside = space;
    feature(0x400 + (unsigned)(space + 1));
}

static void destroy(unsigned space)
{
    struct aspace *as = g.tokens[space];
    g.tokens[space] = NULL;
    model_destroy(&g.model, space);
    aspace_destroy(g.p, as);
}

static void do_destroy(const struct operation *op)
{
    int space = live_space(op->a);
    if (space == NOWHERE || somebody_inside(space))
        return;
    destroy((unsigned)space);
    feature(0x500 + (unsigned)space);
}

static void do_map(int here, const struct operation *op, bool of_object)
{
    unsigned page = op->a % MODEL_PAGES, count = count_from(page, op->a >> 4);
    unsigned object = op->b % MODEL_OBJECTS, index = op->b / MODEL_OBJECTS % MODEL_OBJECT_PAGES;
    enum model_kind kind = !of_object    ? MODEL_ANONYMOUS
                           : op->b & 128 ? MODEL_OBJECT_SHARED
                                         : MODEL_OBJECT_PRIVATE;
    if (of_object && index + count > MODEL_OBJECT_PAGES)
        count = MODEL_OBJECT_PAGES - index;
    if (here == NOWHERE)
        return;
    const struct memory_map_request req = {
        .addr = page_address(page),
        .size = count * (uint64_t)PAGE,
        .sharing = kind == MODEL_OBJECT_SHARED ? MEMORY_SHARED : MEMORY_PRIVATE,
        .prot = prot_from(op->c),
        .object = of_object ? g.objects[object] : NULL,
        .offset = of_object ? index * (uint64_t)PAGE : 0,
    };
    expect("map failed", (uint64_t)-memory_map(g.p, g.tokens[here], &req), 0);
    model_map(&g.model, (unsigned)here, page, count, kind, req.prot, object, index);
    feature(0x600 + kind * 8 + req.prot);
}

static void do_unmap(int here, const struct operation *op)
{
    unsigned page = op->a % MODEL_PAGES, count = count_from(page, op->b);
    if (here == NOWHERE)
        return;
    int err = memory_unmap(g.p, g.tokens[here], page_address(page), count * (uint64_t)PAGE);
    expect("unmap failed", (uint64_t)-err, 0);
    model_unmap(&g.model, (unsigned)here, page, count);
    feature(0x640);
}

static void do_protect(int here, const struct operation *op)
{
    unsigned page = op->a % MODEL_PAGES, count = count_from(page, op->b), prot = prot_from(op->c);
    if (here == NOWHERE || !model_all_mapped(&g.model, (unsigned)here, page, count))
        return;
    int err = memory_protect(g.p, g.tokens[here], page_address(page), count * (uint64_t)PAGE, prot);
    expect("protect failed", (uint64_t)-err, 0);
    model_protect(&g.model, (unsigned)here, page, count, prot);
    feature(0x680 + prot);
}

static void do_move(int here, const struct operation *op)
{
    unsigned from = op->a % MODEL_PAGES, to = op->b % MODEL_PAGES, count = count_from(to, op->c);
    if (here == NOWHERE || (from >= to && from < to + count) ||
        !model_all_mapped(&g.model, (unsigned)here, from, 1))
        return;
    const struct model_page *page = &g.model.spaces[here].pages[from];
    if (page->kind != MODEL_ANONYMOUS && page->index + count > MODEL_OBJECT_PAGES)
        return;
    feature(0x6c0 + page->kind * 8 + count);
    int err = memory_move(g.p, g.tokens[here], page_address(from), PAGE, page_address(to),
                          count * (uint64_t)PAGE);
    expect("move failed", (uint64_t)-err, 0);
    model_move(&g.model, (unsigned)here, from, to, count);
}

static void do_advise(int here, const struct operation *op)
{
    static const enum memory_advice kinds[] = {
        MEMORY_ADVICE_DONTNEED,   MEMORY_ADVICE_DONTFORK,   MEMORY_ADVICE_DOFORK,
        MEMORY_ADVICE_WIPEONFORK, MEMORY_ADVICE_KEEPONFORK, MEMORY_ADVICE_WILLNEED,
    };
    enum memory_advice advice = kinds[op->c % (sizeof(kinds) / sizeof(*kinds))];
    unsigned page = op->a % MODEL_PAGES, count = count_from(page, op->b);
    if (here == NOWHERE || !model_all_mapped(&g.model, (unsigned)here, page, count))
        return;
    struct model_page *pages = &g.model.spaces[here].pages[page];
    for (unsigned i = 0; i < count; i++)
        if (advice == MEMORY_ADVICE_WIPEONFORK && pages[i].kind != MODEL_ANONYMOUS)
            return; /* refused, but the pages before it may have been advised */
    int err =
        memory_advise(g.p, g.tokens[here], page_address(page), count * (uint64_t)PAGE, advice);
    expect("advise failed", (uint64_t)-err, 0);
    feature(0x700 + advice);
    if (advice == MEMORY_ADVICE_DONTNEED)
        model_dontneed(&g.model, (unsigned)here, page, count);
    for (unsigned i = 0; i < count; i++) {
        if (advice == MEMORY_ADVICE_DONTFORK || advice == MEMORY_ADVICE_DOFORK)
            pages[i].dontfork = advice == MEMORY_ADVICE_DONTFORK;
        if (advice == MEMORY_ADVICE_WIPEONFORK || advice == MEMORY_ADVICE_KEEPONFORK)
            pages[i].wipeonfork = advice == MEMORY_ADVICE_WIPEONFORK;
    }
}

/*
 * Writes one cell, or the last of a page and the first of the next; from inside, or from anywhere
 * by poke.
 */
static void do_write(int space, const struct operation *op, bool from_inside)
{
    unsigned page = op->a % MODEL_PAGES, cell = op->b % MODEL_CELLS;
    bool crosses = cell == MODEL_CELLS - 1 && (op->b & 128);
    uint64_t values[2] = {++g.value, ++g.value};
    size_t size = crosses ? 16 : 8, expected = size, left;

    if (space == NOWHERE && !from_inside)
        return;
    if (space != NOWHERE && model_can_write(&g.model, (unsigned)space, page)) {
        const struct model_page *target = &g.model.spaces[space].pages[page];
        feature(0x740 + target->kind * 4 + target->own * 2 + from_inside);
        model_set(&g.model, (unsigned)space, page, cell, values[0]);
        expected = size - 8;
        if (crosses && model_can_write(&g.model, (unsigned)space, page + 1)) {
            model_set(&g.model, (unsigned)space, page + 1, 0, values[1]);
            expected = 0;
        }
    }
    if (from_inside)
        left = guest_copy_out(g.p, address(page, cell), values, size);
    else
        left = aspace_poke(g.p, g.tokens[space], address(page, cell), values, size);
    expect("bytes left by a write", left, expected);
}

static void do_read(int here, const struct operation *op)
{
    unsigned page = op->a % MODEL_PAGES, cell = op->b % MODEL_CELLS;
    bool reachable = here != NOWHERE && model_can_read(&g.model, (unsigned)here, page);
    uint64_t value = 0;
    expect("bytes left by a read", guest_copy_in(g.p, &value, address(page, cell), 8),
           reachable ? 0 : 8);
    if (reachable)
        expect("a cell read inside differs", value,
               model_get(&g.model, (unsigned)here, page, cell));
    feature(0x780 + reachable);
}

static void do_cmpxchg(int here, const struct operation *op)
{
    unsigned page = op->a % MODEL_PAGES, cell = op->b % MODEL_CELLS;
    uint32_t old = 0;
    if (here == NOWHERE || !model_can_write(&g.model, (unsigned)here, page)) {
        expect("cmpxchg on an unreachable word",
               (uint64_t)-guest_cmpxchg32(g.p, address(page, cell), 0, 1, &old), EFAULT);
        return;
    }
    uint64_t before = model_get(&g.model, (unsigned)here, page, cell);
    uint32_t expected = (uint32_t)before + (op->c & 1), desired = (uint32_t)++g.value;
    expect("cmpxchg failed",
           (uint64_t)-guest_cmpxchg32(g.p, address(page, cell), expected, desired, &old), 0);
    expect("cmpxchg saw another value", old, (uint32_t)before);
    if (old == expected)
        before = (before & ~UINT64_C(0xffffffff)) | desired;
    /* The instruction writes in either case: the page is the space's own from now on. */
    model_set(&g.model, (unsigned)here, page, cell, before);
    feature(0x7c0 + (old == expected));
}

static void do_object(const struct operation *op)
{
    unsigned object = op->a % MODEL_OBJECTS, page = op->b % MODEL_OBJECT_PAGES;
    struct memory_object *obj = g.objects[object];
    feature(0x800 + op->a / MODEL_OBJECTS % 3 * 8 + page);
    if (op->a / MODEL_OBJECTS % 3 == 0) {
        unsigned cell = op->c % MODEL_CELLS;
        uint64_t value = ++g.value, offset = page * (uint64_t)PAGE + g_model_cell_offset[cell];
        bool inside = page < g.model.objects[object].pages;
        expect("bytes written to an object",
               (uint64_t)memory_object_write(g.p, obj, offset, mem_shim(&value, 8)),
               inside ? 8 : 0);
        if (inside)
            g.model.objects[object].cells[page][cell] = value;
    } else if (op->a / MODEL_OBJECTS % 3 == 1) {
        expect("resize failed",
               (uint64_t)-memory_object_resize(g.p, obj, (page + 1) * (uint64_t)PAGE), 0);
        model_object_resize(&g.model, object, page + 1);
    } else {
        unsigned count = 1 + op->c % (MODEL_OBJECT_PAGES - page);
        expect(
            "punch failed",
            (uint64_t)-memory_object_punch(g.p, obj, page * (uint64_t)PAGE, count * (uint64_t)PAGE),
            0);
        model_object_punch(&g.model, object, page, count);
    }
}

static void perform(struct fuzz_thread *t)
{
    const struct operation *op = &t->op;
    switch (op->what % 16) {
    case 0:
        do_create();
        break;
    case 1:
        do_fork(op, 0);
        break;
    case 2:
        do_activate(t, op);
        break;
    case 3:
        do_destroy(op);
        break;
    case 4:
        do_map(t->inside, op, false);
        break;
    case 5:
        do_map(t->inside, op, true);
        break;
    case 6:
        do_unmap(t->inside, op);
        break;
    case 7:
        do_protect(t->inside, op);
        break;
    case 8:
        do_move(t->inside, op);
        break;
    case 9:
        do_advise(t->inside, op);
        break;
    case 10:
        do_write(t->inside, op, true);
        break;
    case 11:
        do_write(live_space(op->c), op, false);
        break;
    case 12:
        do_read(t->inside, op);
        break;
    case 13:
        do_cmpxchg(t->inside, op);
        break;
    case 14:
        do_object(op);
        break;
    case 15:
        do_fork(op, 1 + op->b % 12);
        break;
    }
}

/* Threads */

static void thread_main(void *arg)
{
    struct fuzz_thread *t = arg;
    for (;;) {
        while (__atomic_load_n(&t->turn, __ATOMIC_ACQUIRE) == 0)
            thread_wait(g.p, &t->turn, 0, THREAD_WAIT_FOREVER);
        perform(t);
        __atomic_store_n(&t->turn, 0, __ATOMIC_RELEASE);
        thread_wake(g.p, &t->turn, 1);
    }
}

static void perform_on(unsigned thread, struct operation op)
{
    struct fuzz_thread *t = &g.threads[thread % g.thread_count];
    t->op = op;
    if (t == &g.threads[0]) {
        perform(t);
        return;
    }
    __atomic_store_n(&t->turn, 1, __ATOMIC_RELEASE);
    thread_wake(g.p, &t->turn, 1);
    while (__atomic_load_n(&t->turn, __ATOMIC_ACQUIRE) == 1)
        thread_wait(g.p, &t->turn, 1, THREAD_WAIT_FOREVER);
}

static void start_threads(void)
{
    g.thread_count = 1;
    g.threads[0].inside = NOWHERE;
    if (!(g.p->features & PLATFORM_FEATURE_THREADS))
        return;
    for (; g.thread_count < THREADS; g.thread_count++) {
        struct thread *ignored;
        struct fuzz_thread *t = &g.threads[g.thread_count];
        t->inside = NOWHERE;
        expect("spawn failed", (uint64_t)-thread_spawn(g.p, NULL, thread_main, t, &ignored), 0);
    }
}

static void run_input(const uint8_t *input, size_t size)
{
    int err = 0;
    model_reset(&g.model);
    g.value = UINT64_C(0x0101010100000000);
    g.last_feature = 0;
    g.step = 0;
    for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
        g.objects[i] = memory_object_create(g.p, MODEL_OBJECT_PAGES * PAGE, &err);
        expect("no memory object", (uint64_t)-err, 0);
    }
    perform_on(0, (struct operation){.what = 0});
    perform_on(0, (struct operation){.what = 2});
    perform_on(0, (struct operation){.what = 4, .a = 0x30});
    perform_on(0, (struct operation){.what = 4, .a = 0x34});

    for (size_t at = 0; at + 4 <= size; at += 4) {
        g.step++;
        perform_on(input[at] >> 4,
                   (struct operation){input[at] & 15, input[at + 1], input[at + 2], input[at + 3]});
    }

    g.step++;
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        if (g.model.spaces[i].live)
            verify_space(i);
    verify_objects();
    for (unsigned i = 0; i < g.thread_count; i++)
        perform_on(i, (struct operation){.what = 2, .a = 7});
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        if (g.model.spaces[i].live)
            destroy(i);
    for (unsigned i = 0; i < MODEL_OBJECTS; i++)
        memory_object_put(g.p, g.objects[i]);
}

void aspace_exec_main(struct platform *p, void *blob, size_t size UNUSED)
{
    const struct aspace_exec_blob *start = blob;
    g.p = p;
    g.front = start->front;
    g.channel = start->channel;
    start_threads();
    for (;;) {
        channel_give(g.channel, CHANNEL_FUZZER);
        while (__atomic_load_n(&g.channel->turn, __ATOMIC_ACQUIRE) != CHANNEL_RUNNER)
            channel_futex(&g.channel->turn, 0 /* FUTEX_WAIT */, CHANNEL_FUZZER, NULL);
        run_input(g.channel->input, g.channel->size);
    }
}
