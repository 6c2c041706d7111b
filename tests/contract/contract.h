/*
 * contract.h: how a contract case is written. A case is a freestanding C function that runs as the
 * first thread of an instance, in a process of its own; contract_test.cc starts it and turns what
 * it reports into GoogleTest failures.
 */
#ifndef PALIMPSEST_TESTS_CONTRACT_H
#define PALIMPSEST_TESTS_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/address_space.h"
#include "platform/clock.h"
#include "platform/errno.h"
#include "platform/guest_context.h"
#include "platform/guest_memory.h"
#include "platform/host_file.h"
#include "platform/instance.h"
#include "platform/platform.h"
#include "platform/thread.h"
#include "tests/contract/contract_report.h"

/* contract_fail, contract_stop, contract_measure and contract_give_input: contract_process.c; an image of platform/kvm has its own. */
void contract_fail(struct contract *c, const char *file, int line, const char *text);
void contract_check_equal(struct contract *c, const char *file, int line, const char *text,
                          int64_t a, int64_t b);
NO_RETURN void contract_stop(struct contract *c);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            contract_fail(c, __FILE__, __LINE__, #cond);                                           \
    } while (0)
#define CHECK_EQUAL(a, b)                                                                          \
    contract_check_equal(c, __FILE__, __LINE__, #a " == " #b, (int64_t)(a), (int64_t)(b))
/* As CHECK; what follows would make no sense after a failure. */
#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            contract_fail(c, __FILE__, __LINE__, #cond);                                           \
            contract_stop(c);                                                                      \
        }                                                                                          \
    } while (0)

/* Support for cases */

enum { PAGE = 4096 };
#define AREA UINT64_C(0x10000000) /* where cases map things */

struct aspace *contract_space(struct contract *c); /* created and active */
struct aspace *contract_fork(struct contract *c, const struct aspace *parent);
void contract_activate(struct contract *c, const struct aspace *as);
void contract_leave_and_destroy(struct contract *c, struct aspace *as);
void contract_map(struct contract *c, const struct aspace *as, uint64_t addr, size_t pages,
                  unsigned prot);
void contract_map_object(struct contract *c, const struct aspace *as, uint64_t addr, size_t pages,
                         enum memory_sharing sharing, struct memory_object *obj, uint64_t offset);
/*
 * Read and write a number in the active space, or in another; unreachable: a failure is recorded.
 */
uint64_t contract_get(struct contract *c, uint64_t addr);
void contract_put(struct contract *c, uint64_t addr, uint64_t value);
uint64_t contract_peek(struct contract *c, const struct aspace *as, uint64_t addr);
void contract_poke(struct contract *c, const struct aspace *as, uint64_t addr, uint64_t value);
bool contract_readable(struct contract *c, uint64_t addr);
bool contract_writable(struct contract *c, uint64_t addr);

/* Another thread. `body` may activate what it likes; it is in no space when join returns. */
struct contract_worker {
    struct contract *c;
    const struct aspace *as;
    void (*body)(struct contract *c, void *arg);
    void *arg;
    uint32_t done;
    struct thread *thread;
};
void contract_start(struct contract *c, struct contract_worker *w, const struct aspace *as,
                    void (*body)(struct contract *c, void *arg), void *arg);
void contract_join(struct contract *c, struct contract_worker *w);
void contract_sleep_ms(struct contract *c, unsigned ms);

/* Ask the host to measure now, and wait for the result. At most CONTRACT_GAUGES times. */
struct contract_gauge contract_measure(struct contract *c);
/* Ask the host for one byte more at standard input. */
void contract_give_input(struct contract *c);

/* Guest code: copied to `at` in `as` (read, execute). Registers but rip are zero. */
struct guest_code {
    const void *start, *end;
};
#define GUEST_CODE(name)                                                                           \
    __extension__({                                                                                \
        extern const char contract_guest_##name[], contract_guest_##name##_end[];                  \
        (struct guest_code){contract_guest_##name, contract_guest_##name##_end};                   \
    })
struct guest_context *contract_load(struct contract *c, const struct aspace *as, uint64_t at,
                                    struct guest_code code);

#endif
