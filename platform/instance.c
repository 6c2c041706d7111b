/*
 * instance.c: checked entry points of instance.h.
 */
#include "platform/instance.h"

#include "platform/contract.h"
#include "platform/platform.h"

int instance_next_event(struct platform *p, struct instance_event *out)
{
    PLATFORM_REQUIRE(out != NULL);
    return p->instance->next_event(p, out);
}

void instance_suspend(struct platform *p)
{
    p->instance->suspend(p);
}

void instance_finish(struct platform *p, int wait_status)
{
    p->instance->finish(p, wait_status);
    __builtin_unreachable();
}

void instance_message(struct platform *p, const char *text)
{
    PLATFORM_REQUIRE(text != NULL);
    p->instance->message(p, text);
}

void instance_trace(struct platform *p, const char *text, size_t size)
{
    PLATFORM_REQUIRE(text != NULL || size == 0);
    p->instance->trace(p, text, size);
}

uint64_t instance_memory_used(struct platform *p, uint64_t enough)
{
    return p->instance->memory_used(p, enough);
}
