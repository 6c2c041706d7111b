#include "shim/system_info.h"

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/base/string.h"
#include "shim/mm.h"
#include "shim/process_tree.h"
#include "shim/shim.h"

#define MEMORY_TOTAL (8ull << 30)

static struct mutex g_name_lock;
static char g_hostname[SYSTEM_NAME_SIZE];

void system_hostname(char out[SYSTEM_NAME_SIZE])
{
    const char *configured = shim_config_string(g_config, g_config->hostname);

    mutex_lock(&g_name_lock);
    if (g_hostname[0])
        str_copy(out, g_hostname, SYSTEM_NAME_SIZE);
    else
        str_copy(out, configured ? configured : "palimpsest", SYSTEM_NAME_SIZE);
    mutex_unlock(&g_name_lock);
}

int system_set_hostname(const char *name)
{
    if (str_length(name) >= SYSTEM_NAME_SIZE)
        return -EINVAL;
    mutex_lock(&g_name_lock);
    str_copy(g_hostname, name, sizeof(g_hostname));
    mutex_unlock(&g_name_lock);
    return 0;
}

struct system_memory system_memory(void)
{
    struct system_memory m = {.total =
                                  g_config->memory_limit ? g_config->memory_limit : MEMORY_TOTAL};
    uint64_t used = shim_alloc_in_use();

    mutex_lock(&g_process_lock);
    for (struct process *p = process_tree_first(); p; p = process_tree_next(p))
        if (p->tasks && p->tasks->mm) /* a number to look at: no need to stop the world for it */
            used += __atomic_load_n(&p->tasks->mm->total.pages, __ATOMIC_RELAXED) * 4096;
    mutex_unlock(&g_process_lock);
    m.free = used < m.total ? m.total - used : 0;
    return m;
}

uint64_t system_uptime_ns(void)
{
    return clock_now(g_platform, CLOCK_KIND_BOOTTIME);
}
