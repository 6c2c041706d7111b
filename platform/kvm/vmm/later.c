/*
 * later.c: see later.h.
 */
#include "platform/kvm/vmm/later.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "platform/kvm/vmm/files.h"
#include "platform/kvm/vmm/vm.h"

#define RETRY_MS 10
#define KICK_MS 20

struct later_item {
    struct later_item *next;
    uint64_t address; /* of the request, guest-physical */
    struct kvm_request request;
    void *buffer;
    /* KVM_OP_WAIT_FILES */
    unsigned count;
    struct vm_file *file[KVM_WAIT_FILES_MAX];
    uint32_t events[KVM_WAIT_FILES_MAX];
};

/* Answer, and interrupt the image. */
static void complete(struct vm *vm, uint64_t address, int64_t result)
{
    struct kvm_request *shared = vm_memory(vm, address, sizeof(*shared));
    if (!shared)
        return; /* checked when it came */
    shared->result = result;
    __atomic_store_n(&shared->state, KVM_REQUEST_DONE, __ATOMIC_RELEASE);
    vm_interrupt(vm, 0);
}

static void item_free(struct vm *vm, struct later_item *item)
{
    for (unsigned i = 0; i < item->count; i++)
        vm_file_put(item->file[i]);
    free(item);
    pthread_mutex_lock(&vm->later.lock);
    vm->later.item_count--;
    pthread_mutex_unlock(&vm->later.lock);
}

static void *worker_main(void *arg)
{
    struct vm *vm = arg;
    struct vm_later *later = &vm->later;
    pthread_mutex_lock(&later->lock);
    while (!later->ending) {
        struct later_item *item = later->queue;
        if (!item) {
            later->idle_workers++;
            pthread_cond_wait(&later->work, &later->lock);
            later->idle_workers--;
            continue;
        }
        later->queue = item->next;
        if (!later->queue)
            later->queue_end = &later->queue;
        pthread_mutex_unlock(&later->lock);
        complete(vm, item->address, serve_file(vm, &item->request, item->buffer));
        item_free(vm, item);
        pthread_mutex_lock(&later->lock);
    }
    pthread_mutex_unlock(&later->lock);
    return NULL;
}

/* Does one of its files have news? Then it is answered. */
static bool wait_is_over(struct vm *vm, struct later_item *item, const struct pollfd *pfds)
{
    struct kvm_wait_file *list = item->buffer;
    int64_t ready = 0;
    for (unsigned i = 0; i < item->count; i++)
        ready += pfds[i].revents != 0;
    if (ready == 0)
        return false;
    for (unsigned i = 0; i < item->count; i++)
        list[i].ready = (uint32_t)(uint16_t)pfds[i].revents;
    complete(vm, item->address, ready);
    return true;
}

static void *poller_main(void *arg)
{
    struct vm *vm = arg;
    struct vm_later *later = &vm->later;
    struct pollfd *pfds = NULL;
    size_t room = 0;
    for (;;) {
        pthread_mutex_lock(&later->lock);
        size_t count = 1;
        for (struct later_item *item = later->waits; item; item = item->next)
            count += item->count;
        if (later->ending) {
            pthread_mutex_unlock(&later->lock);
            break;
        }
        if (!pfds || count > room) {
            struct pollfd *bigger = realloc(pfds, count * sizeof(*pfds));
            if (!bigger) { /* whoever waits goes on waiting until there is memory */
                pthread_mutex_unlock(&later->lock);
                poll(NULL, 0, RETRY_MS);
                continue;
            }
            pfds = bigger;
            room = count;
        }
        pfds[0] = (struct pollfd){.fd = later->wake_fd, .events = POLLIN};
        size_t at = 1;
        for (struct later_item *item = later->waits; item; item = item->next)
            for (unsigned i = 0; i < item->count; i++)
                pfds[at++] = (struct pollfd){.fd = vm_file_fd(item->file[i]),
                                             .events = (short)item->events[i]};
        pthread_mutex_unlock(&later->lock);
        if (poll(pfds, count, -1) < 0)
            continue;
        uint64_t changes;
        if (pfds[0].revents && read(later->wake_fd, &changes, sizeof(changes)) > 0)
            continue; /* the list is another by now */
        /* Whoever changed the list since has said so by wake_fd, which only this thread reads. */
        pthread_mutex_lock(&later->lock);
        struct pollfd check = {.fd = later->wake_fd, .events = POLLIN};
        struct later_item *over = NULL;
        if (poll(&check, 1, 0) == 0) {
            at = 1;
            for (struct later_item **link = &later->waits; *link;) {
                struct later_item *item = *link;
                bool done = wait_is_over(vm, item, &pfds[at]);
                at += item->count;
                if (done) {
                    *link = item->next;
                    later->waited_files -= item->count;
                    item->next = over;
                    over = item;
                } else {
                    link = &item->next;
                }
            }
        }
        pthread_mutex_unlock(&later->lock);
        while (over) {
            struct later_item *next = over->next;
            item_free(vm, over);
            over = next;
        }
    }
    free(pfds);
    return NULL;
}

static void wake_poller(struct vm_later *later)
{
    const uint64_t one = 1;
    if (write(later->wake_fd, &one, sizeof(one)) < 0)
        return; /* full: it is awake already */
}

/* As many open files as we may have: the sandbox lets nobody ask for more later. */
static uint64_t raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    const struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

int later_open(struct vm *vm)
{
    struct vm_later *later = &vm->later;
    later->waited_files_end = raise_file_limit();
    pthread_mutex_init(&later->lock, NULL);
    pthread_cond_init(&later->work, NULL);
    later->queue_end = &later->queue;
    later->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return later->wake_fd < 0 ? -errno : 0;
}

/* One that is inside a call of the host's which does not return is interrupted, as often as it takes. */
static void end_worker(pthread_t worker)
{
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += KICK_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_timedjoin_np(worker, NULL, &until) != ETIMEDOUT)
            return;
        pthread_kill(worker, VCPU_KICK_SIGNAL);
    }
}

void later_close(struct vm *vm)
{
    struct vm_later *later = &vm->later;
    if (!later->queue_end)
        return;
    pthread_mutex_lock(&later->lock);
    later->ending = true;
    unsigned workers = later->workers;
    pthread_cond_broadcast(&later->work);
    pthread_mutex_unlock(&later->lock);
    if (later->has_poller) {
        wake_poller(later);
        pthread_join(later->poller, NULL);
    }
    for (unsigned i = 0; i < workers; i++)
        end_worker(later->worker[i]);
    struct later_item *lists[] = {later->queue, later->waits, later->event};
    for (unsigned i = 0; i < 3; i++) {
        for (struct later_item *item = lists[i], *next; item; item = next) {
            next = item->next;
            item_free(vm, item);
        }
    }
    later->queue_end = NULL;
    if (later->wake_fd >= 0)
        close(later->wake_fd);
    pthread_cond_destroy(&later->work);
    pthread_mutex_destroy(&later->lock);
}

/* For a worker; one more of them when all are busy. Lock held. */
static int queue_for_worker(struct vm *vm, struct later_item *item)
{
    struct vm_later *later = &vm->later;
    if (later->idle_workers == 0 && later->workers < LATER_WORKERS_MAX &&
        pthread_create(&later->worker[later->workers], NULL, worker_main, vm) == 0)
        later->workers++;
    if (later->workers == 0)
        return -EAGAIN;
    item->next = NULL;
    *later->queue_end = item;
    later->queue_end = &item->next;
    pthread_cond_signal(&later->work);
    return 0;
}

/* Lock held. */
static int add_wait(struct vm *vm, struct later_item *item)
{
    struct vm_later *later = &vm->later;
    const struct kvm_wait_file *list = item->buffer;
    unsigned count = (unsigned)(item->request.size / sizeof(*list));
    if (!list || count == 0 || count > KVM_WAIT_FILES_MAX ||
        item->request.size % sizeof(*list) != 0)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        item->file[i] = vm_file_get(&vm->files, __atomic_load_n(&list[i].handle, __ATOMIC_RELAXED));
        if (!item->file[i])
            return -EBADF;
        item->events[i] = list[i].events;
        item->count++;
    }
    /* poll() takes no more entries than the process may have files open. One of them is wake_fd. */
    if (later->waited_files + count >= later->waited_files_end)
        return -EAGAIN;
    if (!later->has_poller) {
        if (pthread_create(&later->poller, NULL, poller_main, vm) != 0)
            return -EAGAIN;
        later->has_poller = true;
    }
    later->waited_files += count;
    item->next = later->waits;
    later->waits = item;
    wake_poller(later);
    return 0;
}

/* The lowest signal that waits; 0: none. Lock held. */
static int take_signal(struct vm_later *later)
{
    if (!later->signals)
        return 0;
    int number = __builtin_ctzll(later->signals) + 1;
    later->signals &= later->signals - 1;
    return number;
}

/* Result: 0 it waits, > 0 the answer, -errno. Lock held. */
static int64_t dispatch(struct vm *vm, struct later_item *item)
{
    struct vm_later *later = &vm->later;
    switch (item->request.op) {
    case KVM_OP_WAIT_FILES:
        return add_wait(vm, item);
    case KVM_OP_EVENT:
        if (later->event)
            return -EBUSY;
        if (later->signals)
            return take_signal(later);
        later->event = item;
        return 0;
    default:
        if (item->request.op < KVM_OP_FILE_GRANTED || item->request.op >= KVM_OP_WAIT_FILES)
            return -ENOSYS;
        return queue_for_worker(vm, item);
    }
}

void later_submit(struct vm *vm, uint64_t address, const struct kvm_request *request, void *buffer)
{
    struct vm_later *later = &vm->later;
    struct later_item *item = calloc(1, sizeof(*item));
    if (!item) {
        complete(vm, address, -ENOMEM);
        return;
    }
    item->address = address;
    item->request = *request;
    item->buffer = buffer;
    pthread_mutex_lock(&later->lock);
    later->item_count++;
    int64_t result = later->item_count > LATER_ITEMS_MAX ? -EAGAIN : dispatch(vm, item);
    pthread_mutex_unlock(&later->lock);
    if (result != 0) {
        item_free(vm, item);
        complete(vm, address, result);
    }
    /* 0: one of the lists owns it, and whoever answers it frees it */
} /* NOLINT(clang-analyzer-unix.Malloc) */

int64_t later_cancel(struct vm *vm, uint64_t address)
{
    struct vm_later *later = &vm->later;
    struct later_item *item = NULL;
    pthread_mutex_lock(&later->lock);
    for (struct later_item **link = &later->waits; *link && !item; link = &(*link)->next) {
        if ((*link)->address == address) {
            item = *link;
            *link = item->next;
            later->waited_files -= item->count;
            wake_poller(later);
            break;
        }
    }
    if (!item && later->event && later->event->address == address) {
        item = later->event;
        later->event = NULL;
    }
    pthread_mutex_unlock(&later->lock);
    if (!item)
        return -ENOENT;
    item_free(vm, item);
    complete(vm, address, -ECANCELED);
    return 0;
}

void later_signal(struct vm *vm, int number)
{
    struct vm_later *later = &vm->later;
    pthread_mutex_lock(&later->lock);
    later->signals |= 1ull << (number - 1);
    struct later_item *item = later->event;
    later->event = NULL;
    int taken = item ? take_signal(later) : 0;
    pthread_mutex_unlock(&later->lock);
    if (item) {
        complete(vm, item->address, taken);
        item_free(vm, item);
    }
}
