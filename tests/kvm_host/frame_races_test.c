/*
 * frame_races_test.c: the last reference to a frame goes while another thread drops the block the frame lies in.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "platform/kvm/image/frame.h"
#include "tests/kvm_host/kvm_host.h"

enum { ROUNDS = 8, PATIENCE_MS = 50 };

static pthread_barrier_t g_barrier;
static uint64_t g_block, g_last_frame;
static uint32_t g_inside; /* atomic: the block is being dropped now */

static void fail(const char *what, uint64_t number)
{
    fprintf(stderr, "%s: %llu\n", what, (unsigned long long)number);
    exit(1);
}

static void meet(void)
{
    int result = pthread_barrier_wait(&g_barrier);
    if (result && result != PTHREAD_BARRIER_SERIAL_THREAD)
        fail("barrier", (uint64_t)result);
}

/*
 * Called by whoever drops the block, at its first frame. Gives the other thread time to drop its reference to the last one: it may do so
 * at once or wait, but not both free the frame.
 */
static void at_release(uint64_t phys)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    if (phys != g_block)
        return;
    __atomic_store_n(&g_inside, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (__atomic_load_n(&frame_of(g_last_frame)->refs, __ATOMIC_ACQUIRE) == 0)
            return;
        nanosleep(&moment, NULL);
    }
}

/* A space that split its mapping and has one page of it left. */
static void *put_last_frame(void *unused)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        meet();
        while (!__atomic_load_n(&g_inside, __ATOMIC_ACQUIRE))
            sched_yield();
        frame_put(g_last_frame);
        meet();
    }
    return unused;
}

/* A space that still maps all of it. */
static void put_block(void)
{
    g_block = frame_alloc_huge();
    if (g_block == FRAME_NONE)
        fail("no block", 0);
    g_last_frame = g_block + BLOCK_SIZE - FRAME_SIZE;
    g_inside = 0;
    frame_get_huge(g_block);
    frame_split_huge(g_block);
    for (uint64_t at = g_block; at < g_last_frame; at += FRAME_SIZE)
        frame_put(at);
    meet();
    frame_put_huge(g_block);
    meet();
}

int main(void)
{
    pthread_t other;
    kvm_host_init(UINT64_C(16) << 20);
    kvm_host_at_release(at_release);
    const uint64_t free_before = frame_count(FRAME_FREE);
    if (pthread_barrier_init(&g_barrier, NULL, 2) ||
        pthread_create(&other, NULL, put_last_frame, NULL))
        fail("no thread", 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        put_block();
        if (frame_count(FRAME_FREE) != free_before)
            fail("frames free after a round", frame_count(FRAME_FREE));
        if (frame_count(FRAME_DATA) != 0)
            fail("frames in use after a round", frame_count(FRAME_DATA));
    }
    pthread_join(other, NULL);
    return 0;
}
