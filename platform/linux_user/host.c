/*
 * host.c: making host calls fail on purpose.
 */
#include "platform/linux_user/host.h"

struct lu_fault_injection g_lu_fault;

bool lu_fault_arm(unsigned nth)
{
    __atomic_store_n(&g_lu_fault.fail_at, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&g_lu_fault.count, 0, __ATOMIC_SEQ_CST);
    bool fired = __atomic_exchange_n(&g_lu_fault.fired, 0, __ATOMIC_SEQ_CST) != 0;
    __atomic_store_n(&g_lu_fault.fail_at, nth, __ATOMIC_SEQ_CST);
    return fired;
}

bool lu_fault_now(void)
{
    uint32_t at = __atomic_load_n(&g_lu_fault.fail_at, __ATOMIC_SEQ_CST);
    if (at == 0 || __atomic_add_fetch(&g_lu_fault.count, 1, __ATOMIC_SEQ_CST) != at)
        return false;
    __atomic_store_n(&g_lu_fault.fired, 1, __ATOMIC_SEQ_CST);
    return true;
}
