/* activate_main.c: the part of activate_bench that runs in an instance, freestanding like the shim. */
#include <stdint.h>

#include "platform/address_space.h"
#include "platform/clock.h"
#include "platform/instance.h"
#include "platform/platform.h"
#include "shim/base/string.h"

enum { ROUNDS = 101, CHANGES = 400 };

void activate_main(struct platform *p, void *blob, size_t size);

static NO_RETURN void finish(struct platform *p, int wait_status)
{
    instance_finish(p, wait_status);
}

void activate_main(struct platform *p, void *blob, size_t size)
{
    uint64_t samples[ROUNDS];
    int err = 0;
    (void)blob;
    (void)size;
    struct aspace *first = aspace_create(p, &err);
    if (!first)
        finish(p, 1 << 8);
    struct aspace *second = aspace_create(p, &err);
    if (!second) {
        aspace_destroy(p, first);
        finish(p, 1 << 8);
    }
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = clock_now(p, CLOCK_KIND_MONOTONIC);
        for (int c = 0; c < CHANGES; c += 2)
            err |= aspace_activate(p, first) | aspace_activate(p, second);
        uint64_t each = (clock_now(p, CLOCK_KIND_MONOTONIC) - start) / CHANGES;
        int at = i;
        while (at > 0 && samples[at - 1] > each) { /* sorted as it grows */
            samples[at] = samples[at - 1];
            at--;
        }
        samples[at] = each;
    }
    err |= aspace_activate(p, NULL);
    aspace_destroy(p, first);
    aspace_destroy(p, second);
    char line[32];
    int length =
        shim_snprintf(line, sizeof(line), "%llu\n", (unsigned long long)samples[ROUNDS / 2]);
    instance_trace(p, line, (size_t)length);
    finish(p, err ? 1 << 8 : 0);
}
