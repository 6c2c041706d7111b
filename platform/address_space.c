/*
 * address_space.c: checked entry points of address_space.h; nobody else calls its table.
 */
#include "platform/address_space.h"

#include "platform/contract.h"
#include "platform/platform.h"

void aspace_require_live(const struct platform *p, const struct aspace *as)
{
    PLATFORM_REQUIRE(as != NULL && (uintptr_t)as % _Alignof(struct aspace) == 0);
    PLATFORM_REQUIRE(__atomic_load_n(&as->magic, __ATOMIC_ACQUIRE) == ASPACE_MAGIC);
    PLATFORM_REQUIRE(as->owner == p);
    PLATFORM_REQUIRE(as->generation % 2 == 1 && as->id > 0);
}

void aspace_stamp(const struct platform *p, struct aspace *as)
{
    static uint64_t last_id;

    PLATFORM_REQUIRE(p != NULL && as->magic == 0 && as->generation % 2 == 0);
    as->owner = p;
    as->generation++;
    as->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&as->magic, ASPACE_MAGIC, __ATOMIC_RELEASE);
}

void aspace_unstamp(struct aspace *as)
{
    /* Two destroys of one token may race; the exchange lets one of them through. */
    PLATFORM_REQUIRE(__atomic_exchange_n(&as->magic, 0, __ATOMIC_ACQ_REL) == ASPACE_MAGIC);
    as->generation++;
}

uint64_t aspace_id(const struct aspace *as)
{
    PLATFORM_REQUIRE(as != NULL);
    aspace_require_live(as->owner, as);
    return as->id;
}

struct aspace *aspace_create(struct platform *p, int *err)
{
    PLATFORM_REQUIRE(err != NULL);
    return p->aspace->create(p, err);
}

struct aspace *aspace_fork(struct platform *p, const struct aspace *parent, int *err)
{
    aspace_require_live(p, parent);
    PLATFORM_REQUIRE(err != NULL);
    return p->aspace->fork(p, parent, err);
}

int aspace_activate(struct platform *p, const struct aspace *as)
{
    if (as)
        aspace_require_live(p, as);
    return p->aspace->activate(p, as);
}

void aspace_vacate(struct platform *p, const struct aspace *as)
{
    aspace_require_live(p, as);
    p->aspace->vacate(p, as);
}

void aspace_destroy(struct platform *p, struct aspace *as)
{
    aspace_require_live(p, as);
    p->aspace->destroy(p, as);
}

void aspace_stats(struct platform *p, const struct aspace *as, struct aspace_stats *out)
{
    aspace_require_live(p, as);
    PLATFORM_REQUIRE(out != NULL);
    p->aspace->stats(p, as, out);
}
