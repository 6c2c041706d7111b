/*
 * platform.c: is this platform whole?
 */
#include "platform/platform.h"

#include <stddef.h>

#include "platform/address_space.h"
#include "platform/clock.h"
#include "platform/contract.h"
#include "platform/guest_context.h"
#include "platform/guest_memory.h"
#include "platform/host_file.h"
#include "platform/host_socket.h"
#include "platform/instance.h"
#include "platform/thread.h"

/* A table is nothing but function pointers, so it can be walked as an array of them. */
static void require_filled(const void *table, size_t size)
{
    void (*const *slot)(void) = table;
    PLATFORM_REQUIRE(table != NULL);
    for (size_t i = 0; i < size / sizeof(*slot); i++)
        PLATFORM_REQUIRE(slot[i] != NULL);
}

void platform_check(struct platform *p)
{
    /* First the way to complain, then the complaints. */
    PLATFORM_REQUIRE(p != NULL && p->version == PLATFORM_INTERFACE_VERSION);
    PLATFORM_REQUIRE(p->instance != NULL && p->instance->panic != NULL);
    platform_panic_through(p);
    require_filled(p->instance, sizeof(*p->instance));
    require_filled(p->aspace, sizeof(*p->aspace));
    require_filled(p->memory, sizeof(*p->memory));
    require_filled(p->guest, sizeof(*p->guest));
    require_filled(p->thread, sizeof(*p->thread));
    require_filled(p->clock, sizeof(*p->clock));
    require_filled(p->host_file, sizeof(*p->host_file));
    require_filled(p->host_socket, sizeof(*p->host_socket));

    PLATFORM_REQUIRE(p->name != NULL && p->name[0] != '\0');
    PLATFORM_REQUIRE(p->page_size >= 4096 && (p->page_size & (p->page_size - 1)) == 0);
    PLATFORM_REQUIRE(p->guest_min % p->page_size == 0 && p->guest_end % p->page_size == 0);
    PLATFORM_REQUIRE(p->guest_min > 0 && p->guest_min < p->guest_end);
}
