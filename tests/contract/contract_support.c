/*
 * contract_support.c: see contract.h.
 */
#include "shim/base/string.h"
#include "tests/contract/contract.h"

void contract_check_equal(struct contract *c, const char *file, int line, const char *text,
                          int64_t a, int64_t b)
{
    char message[256];
    if (a == b)
        return;
    shim_snprintf(message, sizeof(message), "%.190s: %lld against %lld", text, (long long)a,
                  (long long)b);
    contract_fail(c, file, line, message);
}

void contract_activate(struct contract *c, const struct aspace *as)
{
    int ret = aspace_activate(c->p, as);
    CHECK_EQUAL(ret, 0);
    if (ret)
        contract_stop(c);
}

struct aspace *contract_space(struct contract *c)
{
    int err = 0;
    struct aspace *as = aspace_create(c->p, &err);
    MUST(as != NULL);
    contract_activate(c, as);
    return as;
}

struct aspace *contract_fork(struct contract *c, const struct aspace *parent)
{
    int err = 0;
    struct aspace *child = aspace_fork(c->p, parent, &err);
    CHECK_EQUAL(err, 0);
    MUST(child != NULL);
    return child;
}

void contract_leave_and_destroy(struct contract *c, struct aspace *as)
{
    contract_activate(c, NULL);
    aspace_destroy(c->p, as);
}

void contract_map(struct contract *c, const struct aspace *as, uint64_t addr, size_t pages,
                  unsigned prot)
{
    struct memory_map_request req = {
        .addr = guest_addr(addr), .size = pages * PAGE, .sharing = MEMORY_PRIVATE, .prot = prot};
    CHECK_EQUAL(memory_map(c->p, as, &req), 0);
}

void contract_map_object(struct contract *c, const struct aspace *as, uint64_t addr, size_t pages,
                         enum memory_sharing sharing, struct memory_object *obj, uint64_t offset)
{
    struct memory_map_request req = {.addr = guest_addr(addr),
                                     .size = pages * PAGE,
                                     .sharing = sharing,
                                     .prot = MEMORY_READ | MEMORY_WRITE,
                                     .object = obj,
                                     .offset = offset};
    CHECK_EQUAL(memory_map(c->p, as, &req), 0);
}

uint64_t contract_get(struct contract *c, uint64_t addr)
{
    uint64_t value = 0;
    CHECK_EQUAL(guest_copy_in(c->p, &value, guest_addr(addr), sizeof(value)), 0);
    return value;
}

void contract_put(struct contract *c, uint64_t addr, uint64_t value)
{
    CHECK_EQUAL(guest_copy_out(c->p, guest_addr(addr), &value, sizeof(value)), 0);
}

uint64_t contract_peek(struct contract *c, const struct aspace *as, uint64_t addr)
{
    uint64_t value = 0;
    CHECK_EQUAL(aspace_peek(c->p, as, &value, guest_addr(addr), sizeof(value)), 0);
    return value;
}

void contract_poke(struct contract *c, const struct aspace *as, uint64_t addr, uint64_t value)
{
    CHECK_EQUAL(aspace_poke(c->p, as, guest_addr(addr), &value, sizeof(value)), 0);
}

bool contract_readable(struct contract *c, uint64_t addr)
{
    uint8_t byte;
    return guest_copy_in(c->p, &byte, guest_addr(addr), 1) == 0;
}

bool contract_writable(struct contract *c, uint64_t addr)
{
    uint8_t byte = 0;
    return guest_copy_out(c->p, guest_addr(addr), &byte, 1) == 0;
}

static void worker_main(void *arg)
{
    struct contract_worker *w = arg;
    struct contract *c = w->c;
    CHECK(w->thread == thread_current(c->p));
    w->body(c, w->arg);
    contract_activate(c, NULL);
    __atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
    thread_wake(c->p, &w->done, UINT32_MAX);
    thread_exit(c->p, NULL);
}

void contract_start(struct contract *c, struct contract_worker *w, const struct aspace *as,
                    void (*body)(struct contract *c, void *arg), void *arg)
{
    *w = (struct contract_worker){.c = c, .as = as, .body = body, .arg = arg};
    int ret = thread_spawn(c->p, as, worker_main, w, &w->thread);
    CHECK_EQUAL(ret, 0);
    if (ret)
        contract_stop(c);
}

void contract_join(struct contract *c, struct contract_worker *w)
{
    while (!__atomic_load_n(&w->done, __ATOMIC_ACQUIRE))
        thread_wait(c->p, &w->done, 0, THREAD_WAIT_FOREVER);
}

void contract_sleep_ms(struct contract *c, unsigned ms)
{
    uint64_t end = clock_now(c->p, CLOCK_KIND_MONOTONIC) + ms * UINT64_C(1000000);
    uint32_t never = 0;
    while (thread_wait(c->p, &never, 0, end) != -ETIMEDOUT)
        continue;
}

struct guest_context *contract_load(struct contract *c, const struct aspace *as, uint64_t at,
                                    struct guest_code code)
{
    size_t size = (size_t)((const char *)code.end - (const char *)code.start);
    size_t pages = (size + PAGE - 1) / PAGE;
    int err = 0;

    contract_map(c, as, at, pages, MEMORY_READ | MEMORY_WRITE);
    CHECK_EQUAL(aspace_poke(c->p, as, guest_addr(at), code.start, size), 0);
    CHECK_EQUAL(memory_protect(c->p, as, guest_addr(at), pages * PAGE, MEMORY_READ | MEMORY_EXEC),
                0);
    struct guest_context *ctx = guest_context_create(c->p, &err);
    MUST(ctx != NULL);
    ctx->regs.rip = at;
    return ctx;
}
