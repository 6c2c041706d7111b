/*
 * contract_cases_object.c: memory objects of guest_memory.h.
 */
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

static struct memory_object *make_object(struct contract *c, uint64_t pages)
{
    int err = 0;
    struct memory_object *obj = memory_object_create(c->p, pages * PAGE, &err);
    MUST(obj != NULL);
    CHECK_EQUAL(memory_object_size(c->p, obj), pages * PAGE);
    return obj;
}

static uint64_t object_get(struct contract *c, struct memory_object *obj, uint64_t offset)
{
    uint64_t value = 0;
    CHECK_EQUAL(memory_object_read(c->p, obj, offset, mem_shim(&value, sizeof(value))), 8);
    return value;
}

static void object_put(struct contract *c, struct memory_object *obj, uint64_t offset,
                       uint64_t value)
{
    CHECK_EQUAL(memory_object_write(c->p, obj, offset, mem_shim(&value, sizeof(value))), 8);
}

void ObjectContract_SharedMappingsShowEachOther(struct contract *c)
{
    struct memory_object *obj = make_object(c, 3);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 2, MEMORY_SHARED, obj, 0);
    contract_map_object(c, as, AREA + 8 * PAGE, 2, MEMORY_SHARED, obj, PAGE);
    contract_put(c, AREA + PAGE, 1);
    CHECK_EQUAL(contract_get(c, AREA + 8 * PAGE), 1);
    contract_put(c, AREA + 8 * PAGE + 16, 2);
    CHECK_EQUAL(contract_get(c, AREA + PAGE + 16), 2);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void ObjectContract_PrivateWritesDoNotReachTheObject(struct contract *c)
{
    struct memory_object *obj = make_object(c, 2);
    struct aspace *as = contract_space(c);
    object_put(c, obj, 0, 1);
    contract_map_object(c, as, AREA, 2, MEMORY_PRIVATE, obj, 0);
    CHECK_EQUAL(contract_get(c, AREA), 1);
    contract_put(c, AREA, 2);
    contract_put(c, AREA + PAGE, 3);
    CHECK_EQUAL(object_get(c, obj, 0), 1);
    CHECK_EQUAL(object_get(c, obj, PAGE), 0);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void ObjectContract_ReadAndWriteMeetTheMappings(struct contract *c)
{
    struct memory_object *obj = make_object(c, 2);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 2, MEMORY_SHARED, obj, 0);
    contract_put(c, AREA + PAGE - 4, UINT64_C(0x8877665544332211));
    CHECK_EQUAL(object_get(c, obj, PAGE - 4), UINT64_C(0x8877665544332211));
    object_put(c, obj, PAGE + 100, 4);
    CHECK_EQUAL(contract_get(c, AREA + PAGE + 100), 4);
    /* Straight between object and guest. */
    contract_map(c, as, AREA + 16 * PAGE, 2, MEMORY_READ | MEMORY_WRITE);
    CHECK_EQUAL(memory_object_read(c->p, obj, 0, mem_guest(guest_addr(AREA + 16 * PAGE), 2 * PAGE)),
                2 * PAGE);
    CHECK_EQUAL(contract_get(c, AREA + 17 * PAGE + 100), 4);
    contract_put(c, AREA + 16 * PAGE, 5);
    CHECK_EQUAL(memory_object_write(c->p, obj, 8, mem_guest(guest_addr(AREA + 16 * PAGE), 8)), 8);
    CHECK_EQUAL(contract_get(c, AREA + 8), 5);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void ObjectContract_ReadAndWriteStopAtTheEnd(struct contract *c)
{
    struct memory_object *obj = make_object(c, 1);
    unsigned char bytes[32] = {0};
    CHECK_EQUAL(memory_object_read(c->p, obj, PAGE - 10, mem_shim(bytes, 32)), 10);
    CHECK_EQUAL(memory_object_write(c->p, obj, PAGE - 10, mem_shim(bytes, 32)), 10);
    CHECK_EQUAL(memory_object_read(c->p, obj, PAGE, mem_shim(bytes, 32)), 0);
    CHECK_EQUAL(memory_object_write(c->p, obj, 5 * PAGE, mem_shim(bytes, 32)), 0);
    CHECK_EQUAL(memory_object_size(c->p, obj), PAGE);
    memory_object_put(c->p, obj);
}

void ObjectContract_ReadAndWriteStopAtAnUnreachableGuestByte(struct contract *c)
{
    struct memory_object *obj = make_object(c, 2);
    struct aspace *as = contract_space(c);
    contract_map(c, as, AREA, 1, MEMORY_READ | MEMORY_WRITE);
    struct mem_ref edge = mem_guest(guest_addr(AREA + PAGE - 20), 100);
    struct mem_ref nowhere = mem_guest(guest_addr(AREA + PAGE), 100);
    int64_t moved = memory_object_read(c->p, obj, 0, edge);
    CHECK(moved == 20 || moved == -EFAULT); /* the first byte could be reached: a prefix */
    CHECK_EQUAL(moved, 20);
    CHECK_EQUAL(memory_object_write(c->p, obj, 0, edge), 20);
    CHECK_EQUAL(memory_object_read(c->p, obj, 0, nowhere), -EFAULT);
    CHECK_EQUAL(memory_object_write(c->p, obj, 0, nowhere), -EFAULT);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void ObjectContract_GrowingAddsZeros(struct contract *c)
{
    struct memory_object *obj = make_object(c, 1);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 4, MEMORY_SHARED, obj, 0);
    contract_put(c, AREA, 1);
    CHECK(!contract_readable(c, AREA + PAGE)); /* past the end */
    CHECK_EQUAL(memory_object_resize(c->p, obj, 3 * PAGE), 0);
    CHECK_EQUAL(memory_object_size(c->p, obj), 3 * PAGE);
    CHECK_EQUAL(contract_get(c, AREA), 1);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 0);
    contract_put(c, AREA + 2 * PAGE, 2);
    CHECK_EQUAL(object_get(c, obj, 2 * PAGE), 2);
    CHECK(!contract_readable(c, AREA + 3 * PAGE));
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void ObjectContract_ShrinkingTakesPagesAwayEverywhere(struct contract *c)
{
    struct memory_object *obj = make_object(c, 3);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 3, MEMORY_SHARED, obj, 0);
    contract_map_object(c, as, AREA + 8 * PAGE, 3, MEMORY_PRIVATE, obj, 0);
    for (uint64_t i = 0; i < 3; i++) {
        contract_put(c, AREA + i * PAGE + 200, 1 + i);
        contract_put(c, AREA + (8 + i) * PAGE, 10 + i);
    }
    CHECK_EQUAL(memory_object_resize(c->p, obj, PAGE + 100), 0);
    CHECK_EQUAL(memory_object_size(c->p, obj), PAGE + 100);
    CHECK_EQUAL(contract_get(c, AREA + 200), 1);
    CHECK_EQUAL(contract_get(c, AREA + PAGE + 200), 0); /* behind the end within the last page */
    CHECK(!contract_readable(c, AREA + 2 * PAGE));
    CHECK(!contract_readable(c, AREA + 10 * PAGE)); /* private copies as well */
    CHECK_EQUAL(contract_get(c, AREA + 8 * PAGE), 10);
    CHECK_EQUAL(memory_object_resize(c->p, obj, 3 * PAGE), 0);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE + 200), 0);
    CHECK_EQUAL(contract_get(c, AREA + 10 * PAGE), 0);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

void ObjectContract_PunchedRangeReadsZero(struct contract *c)
{
    struct memory_object *obj = make_object(c, 4);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 4, MEMORY_SHARED, obj, 0);
    for (uint64_t i = 0; i < 4; i++)
        contract_put(c, AREA + i * PAGE, 1 + i);
    CHECK_EQUAL(memory_object_punch(c->p, obj, PAGE, 2 * PAGE), 0);
    CHECK_EQUAL(contract_get(c, AREA), 1);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 0);
    CHECK_EQUAL(contract_get(c, AREA + 2 * PAGE), 0);
    CHECK_EQUAL(contract_get(c, AREA + 3 * PAGE), 4);
    CHECK_EQUAL(memory_object_size(c->p, obj), 4 * PAGE);
    memory_object_put(c->p, obj);
    contract_leave_and_destroy(c, as);
}

/* All that seek may do wrong is to take data for a hole: whoever copies a sparse object would lose it. */
void ObjectContract_SeekNeverSkipsData(struct contract *c)
{
    const uint64_t end = 1024 * PAGE + 100;
    struct memory_object *obj = make_object(c, 1024);
    CHECK_EQUAL(memory_object_resize(c->p, obj, end), 0);
    CHECK(memory_object_seek(c->p, obj, 0, MEMORY_SEEK_HOLE) >= 0);
    for (uint64_t i = 0; i < 4; i++)
        object_put(c, obj, i * 300 * PAGE + 8, 1 + i);
    for (uint64_t i = 0; i < 4; i++) {
        const uint64_t at = i * 300 * PAGE;
        const int64_t data =
                          memory_object_seek(c->p, obj, i ? at - 299 * PAGE : 0, MEMORY_SEEK_DATA),
                      hole = memory_object_seek(c->p, obj, at + 8, MEMORY_SEEK_HOLE);
        CHECK(data >= 0 && (uint64_t)data <= at);
        CHECK(hole > (int64_t)at + 8 && (uint64_t)hole <= end);
        CHECK_EQUAL(memory_object_seek(c->p, obj, at + 8, MEMORY_SEEK_DATA), at + 8);
        if (hole > 0 && (uint64_t)hole + 8 <= end)
            CHECK_EQUAL(object_get(c, obj, (uint64_t)hole), 0);
    }
    const int64_t tail = memory_object_seek(c->p, obj, 1000 * PAGE, MEMORY_SEEK_DATA);
    CHECK(tail == -ENXIO || tail >= (int64_t)(1000 * PAGE));
    CHECK_EQUAL(memory_object_seek(c->p, obj, end, MEMORY_SEEK_DATA), -ENXIO);
    CHECK_EQUAL(memory_object_seek(c->p, obj, end, MEMORY_SEEK_HOLE), -ENXIO);
    CHECK_EQUAL(memory_object_seek(c->p, obj, UINT64_MAX, MEMORY_SEEK_DATA), -ENXIO);
    CHECK_EQUAL(memory_object_size(c->p, obj), end);
    memory_object_put(c->p, obj);
}

void ObjectContract_ObjectLivesWhileMapped(struct contract *c)
{
    struct memory_object *obj = make_object(c, 1);
    struct aspace *as = contract_space(c);
    contract_map_object(c, as, AREA, 1, MEMORY_SHARED, obj, 0);
    contract_map_object(c, as, AREA + PAGE, 1, MEMORY_SHARED, obj, 0);
    memory_object_get(c->p, obj);
    memory_object_put(c->p, obj);
    contract_put(c, AREA, 6);
    memory_object_put(c->p, obj);
    struct memory_object *other = make_object(c, 1); /* must not meet the first one's memory */
    object_put(c, other, 0, 7);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 6);
    CHECK_EQUAL(memory_unmap(c->p, as, guest_addr(AREA), PAGE), 0);
    CHECK_EQUAL(contract_get(c, AREA + PAGE), 6);
    memory_object_put(c->p, other);
    contract_leave_and_destroy(c, as);
}

void ObjectContract_CreateFailingAtAnyHostCallLeavesNothing(struct contract *c)
{
    uint64_t files = contract_measure(c).files;
    unsigned nth = 1;
    for (bool fired = true; fired && nth < 500; nth++) {
        int err = 0;
        c->front->fault_arm(nth);
        struct memory_object *obj = memory_object_create(c->p, 4 * PAGE, &err);
        fired = c->front->fault_arm(0);
        CHECK(obj != NULL || (fired && (err == -ENOMEM || err == -ENFILE)));
        if (obj)
            memory_object_put(c->p, obj);
    }
    CHECK(nth < 500);
    for (int i = 0; i < 100; i++)
        memory_object_put(c->p, make_object(c, 1));
    CHECK_EQUAL(contract_measure(c).files, files);
}
