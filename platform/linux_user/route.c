/*
 * route.c: directories that lead to others still as they did, by the host's inotify(7) and mountinfo.
 *
 * What makes an answer good is the look *after* it: the queue of events is empty and no mount came or went, so from the moment the route was
 * made until then each name on the way led to the same directory. The host queues an event before the call that caused it returns. Two
 * things say nothing and need nothing: a directory that is removed is empty by then, so its last one answers -ENOENT, which is never taken
 * from a route; and a new name cannot come where a directory still is.
 *
 * Whoever sees an event raises g_routes.generation, and all routes are past. They are swept before the next is made, by one thread at a
 * time (`making`), since a watch taken away must not be one that was just asked for.
 */
#include "platform/linux_user/route.h"

#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <asm/stat.h>
#include <asm/statfs.h>

#include "platform/linux_user/host_file.h"
#include "platform/linux_user/lu.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#define AT_SYMLINK_NOFOLLOW_FLAG 0x100
#define AT_EMPTY_PATH_FLAG 0x1000

#define SETS 16u
#define WAYS 4u
#define TEXT_MAX 192u /* longer ones are walked */
#define WATCHES_MAX 256u
#define POLLERS 4u
#define HEAT_MAX 64u
/* A route costs what some thirty walks cost more than it does. */
#define WALKS_FEW 16u
#define WALKS_MANY 1024u
#define HITS_WORTH 64u /* of each route: they were worth making */
/* Once is enough: the queue stays short if nobody looks. Chmod, too: the host may not let us through any more. */
#define EVENTS (IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR | IN_ONESHOT)

/* One path. Taken out of its place: whoever does it under the lock closes fd. */
struct route {
    uint64_t start; /* host_file.route_id; 0: nothing here */
    uint64_t stamp; /* of this fd, atomic: it is not closed while it stands; 0: no fd */
    uint32_t hash, generation, heat;
    uint32_t walks; /* since nothing leads there */
    int fd;         /* 0: none */
    uint16_t length;
    char text[TEXT_MAX];
};

/* Mounts are told to each reader of mountinfo once: a thread has one for itself until it has raised the generation. */
struct poller {
    uint32_t busy;
    int epoll, mounts;
} __attribute__((aligned(64)));

static struct {
    uint32_t generation; /* atomic */
    uint32_t making;     /* atomic: 1: somebody changes what is watched */
    struct lu_lock lock;
    /* under lock */
    struct route routes[SETS * WAYS];
    uint64_t ids, stamps;
    uint32_t hits;   /* since the last sweep */
    uint32_t needed; /* walks before a route is made */
    /* by whoever is making */
    enum { ROUTES_NEW, ROUTES_READY, ROUTES_OFF } state; /* atomic */
    uint32_t swept;                                      /* as of this generation */
    int inotify;
    int watches[WATCHES_MAX];
    unsigned watch_count;
    struct poller pollers[POLLERS];
} g_routes = {.needed = WALKS_FEW};

static uint32_t hash_of(uint64_t start, const char *text, size_t length)
{
    const uint64_t odd = 0x9e3779b97f4a7c15ull;
    uint64_t h = start * odd ^ length, word;
    for (; length >= sizeof(word); text += sizeof(word), length -= sizeof(word)) {
        __builtin_memcpy(&word, text, sizeof(word));
        h = (h ^ word) * odd;
        h ^= h >> 32;
    }
    for (word = 0; length; length--)
        word = word << 8 | (unsigned char)text[length - 1];
    h = (h ^ word) * odd;
    return (uint32_t)(h ^ h >> 32);
}

static uint32_t generation_now(void)
{
    return __atomic_load_n(&g_routes.generation, __ATOMIC_SEQ_CST);
}

static void routes_are_past(void)
{
    __atomic_fetch_add(&g_routes.generation, 1, __ATOMIC_SEQ_CST);
}

/* Under the lock: the fd is the caller's to close once it let go of the lock; 0: none. */
static int take_fd(struct route *r)
{
    int fd = r->fd;
    __atomic_store_n(&r->stamp, 0, __ATOMIC_SEQ_CST);
    r->fd = 0;
    r->walks = 0;
    return fd;
}

/* Under the lock. NULL: not known. */
static struct route *find(uint64_t start, uint32_t hash, const char *text, size_t length)
{
    struct route *set = g_routes.routes + hash % SETS * WAYS;
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].hash == hash && set[i].start == start && set[i].length == length &&
            __builtin_memcmp(set[i].text, text, length) == 0)
            return &set[i];
    return NULL;
}

/* Under the lock: a new path may take the place of one that nobody asked for lately. *close_fd: the caller's, if not 0. */
static void note(uint64_t start, uint32_t hash, const char *text, size_t length, int *close_fd)
{
    struct route *set = g_routes.routes + hash % SETS * WAYS, *coldest = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].heat)
            set[i].heat--;
        if (set[i].heat < coldest->heat)
            coldest = &set[i];
    }
    if (coldest->heat)
        return;
    *close_fd = take_fd(coldest);
    coldest->start = start;
    coldest->hash = hash;
    coldest->length = (uint16_t)length;
    coldest->heat = coldest->walks = 1;
    __builtin_memcpy(coldest->text, text, length);
}

/* Nothing happened to any route of this generation since it was made. */
static bool still_there(uint32_t generation)
{
    struct poller *p = NULL;
    size_t own = (size_t)__builtin_frame_address(0) / THREAD_STACK_SIZE;
    for (unsigned i = 0; i < POLLERS && !p; i++) {
        struct poller *at = &g_routes.pollers[(own + i) % POLLERS];
        if (__atomic_exchange_n(&at->busy, 1, __ATOMIC_ACQUIRE) == 0)
            p = at;
    }
    if (!p)
        return false;
    struct epoll_event seen[2];
    bool still = host_call(__NR_epoll_wait, p->epoll, seen, 2, 0) == 0;
    if (!still)
        routes_are_past();
    __atomic_store_n(&p->busy, 0, __ATOMIC_RELEASE);
    return still && generation_now() == generation;
}

static void stop_watching(void)
{
    for (unsigned i = 0; i < POLLERS; i++) {
        struct poller *p = &g_routes.pollers[i];
        if (p->epoll > 0)
            host_call(__NR_close, p->epoll);
        if (p->mounts > 0)
            host_call(__NR_close, p->mounts);
    }
    if (g_routes.inotify > 0)
        host_call(__NR_close, g_routes.inotify);
    __atomic_store_n(&g_routes.state, ROUTES_OFF, __ATOMIC_RELEASE);
}

static long add_to(const struct poller *p, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    return lu_host(__NR_epoll_ctl, p->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* All pollers before the first route: one that comes later would not be told of what was before. false: this host has no such thing. */
static bool start_watching(void)
{
    g_routes.inotify = (int)lu_host(__NR_inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
    bool all = g_routes.inotify > 0;
    for (unsigned i = 0; i < POLLERS && all; i++) {
        struct poller *p = &g_routes.pollers[i];
        p->epoll = (int)lu_host(__NR_epoll_create1, EPOLL_CLOEXEC);
        p->mounts =
            (int)lu_host(__NR_openat, AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC, 0);
        all = p->epoll > 0 && p->mounts > 0 && add_to(p, g_routes.inotify, EPOLLIN) == 0 &&
              add_to(p, p->mounts, EPOLLPRI) == 0;
    }
    if (all)
        __atomic_store_n(&g_routes.state, ROUTES_READY, __ATOMIC_RELEASE);
    else
        stop_watching();
    return all;
}

/* Only of file systems all of whose changes come through this host, and of which a removed directory is empty. */
static bool tells_changes(int fd)
{
    struct statfs sf;
    if (lu_host(__NR_fstatfs, fd, &sf) < 0)
        return false;
    switch ((uint32_t)sf.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

/*
 * One name further, in the same mount, watched. Result: its fd; -errno. That the name leads there is looked at with the watch in place: from
 * then on, only an event can change it.
 */
static int step(int from, const char *name)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    struct stat there, named;
    char path[LU_FD_PATH];
    long fd = lu_host(__NR_openat2, from, name, &how, sizeof(how)), err;
    if (fd < 0)
        return (int)fd;
    lu_fd_path(path, (int)fd);
    err = lu_host(__NR_inotify_add_watch, g_routes.inotify, path, EVENTS);
    if (err >= 0) {
        g_routes.watches[g_routes.watch_count++] = (int)err;
        err = lu_host(__NR_newfstatat, fd, "", &there, AT_EMPTY_PATH_FLAG);
    }
    if (err >= 0)
        err = lu_host(__NR_newfstatat, from, name, &named, AT_SYMLINK_NOFOLLOW_FLAG);
    if (err >= 0 && (there.st_dev != named.st_dev || there.st_ino != named.st_ino))
        err = -ESTALE;
    if (err >= 0)
        return (int)fd;
    host_call(__NR_close, fd);
    return (int)err;
}

/* Result: the last directory's fd, all watched; -errno. */
static int go(int from, const char *text, size_t length)
{
    char names[TEXT_MAX + 1];
    int at = from;
    __builtin_memcpy(names, text, length);
    names[length] = '\0';
    for (size_t i = 0; i < length && at >= 0;) {
        size_t end = i;
        while (end < length && names[end] != '/')
            end++;
        names[end] = '\0';
        int next = g_routes.watch_count < WATCHES_MAX ? step(at, names + i) : -ENOSPC;
        if (at != from)
            host_call(__NR_close, at);
        at = next;
        i = end + 1;
    }
    return at;
}

/* Past routes and their watches go, and what the host said of them. */
static void sweep(void)
{
    int fds[SETS * WAYS];
    unsigned count = 0;
    char events[512];
    g_routes.swept = generation_now();
    lu_lock(&g_routes.lock);
    for (unsigned i = 0; i < SETS * WAYS; i++)
        if (g_routes.routes[i].fd)
            fds[count++] = take_fd(&g_routes.routes[i]);
    bool worth = g_routes.hits >= count * HITS_WORTH;
    if (worth)
        g_routes.needed = WALKS_FEW;
    else if (g_routes.needed < WALKS_MANY)
        g_routes.needed *= 2;
    g_routes.hits = 0;
    lu_unlock(&g_routes.lock);
    for (unsigned i = 0; i < count; i++)
        host_call(__NR_close, fds[i]);
    for (unsigned i = 0; i < g_routes.watch_count; i++)
        host_call(__NR_inotify_rm_watch, g_routes.inotify, g_routes.watches[i]);
    g_routes.watch_count = 0;
    while (host_call(__NR_read, g_routes.inotify, events, sizeof(events)) > 0)
        ;
}

static void make(const struct host_file *dir, uint32_t hash, const char *text, size_t length)
{
    if (__atomic_exchange_n(&g_routes.making, 1, __ATOMIC_ACQUIRE))
        return;
    int fd = -EOPNOTSUPP;
    if (g_routes.state == ROUTES_READY || (g_routes.state == ROUTES_NEW && start_watching())) {
        if (g_routes.watch_count == WATCHES_MAX)
            routes_are_past();
        if (g_routes.swept != generation_now())
            sweep();
        uint32_t generation = generation_now();
        fd = tells_changes(dir->fd) ? go(dir->fd, text, length) : -EOPNOTSUPP;
        lu_lock(&g_routes.lock);
        struct route *r = find(dir->route_id, hash, text, length);
        if (r && fd > 0 && !r->fd) {
            r->fd = fd;
            r->generation = generation;
            __atomic_store_n(&r->stamp, ++g_routes.stamps, __ATOMIC_SEQ_CST);
            fd = 0;
        }
        lu_unlock(&g_routes.lock);
    }
    __atomic_store_n(&g_routes.making, 0, __ATOMIC_RELEASE);
    if (fd > 0)
        host_call(__NR_close, fd);
}

bool lu_route_stat(struct host_file *dir, const char *path, struct stat *out)
{
    size_t length = 0;
    for (size_t i = 0; path[i]; i++)
        if (path[i] == '/')
            length = i;
    if (!length || length > TEXT_MAX ||
        __atomic_load_n(&g_routes.state, __ATOMIC_ACQUIRE) == ROUTES_OFF)
        return false;
    int fd = 0, close_fd = 0;
    bool enough = false;
    uint64_t stamp = 0;
    uint32_t generation = generation_now();
    lu_lock(&g_routes.lock);
    if (!dir->route_id)
        dir->route_id = ++g_routes.ids;
    uint32_t hash = hash_of(dir->route_id, path, length);
    struct route *r = find(dir->route_id, hash, path, length);
    if (!r) {
        note(dir->route_id, hash, path, length, &close_fd);
    } else {
        r->heat += r->heat < HEAT_MAX;
        if (r->fd && r->generation == generation) {
            fd = r->fd;
            stamp = r->stamp;
            g_routes.hits++;
        } else if (++r->walks >= g_routes.needed) {
            enough = true;
            r->walks = 0;
        }
    }
    lu_unlock(&g_routes.lock);
    if (close_fd)
        host_call(__NR_close, close_fd);
    if (enough)
        make(dir, hash, path, length);
    /* The fd may be another file's by now: then the stamp is not the same, and what was learned is thrown away. */
    return fd &&
           host_call(__NR_newfstatat, fd, path + length + 1, out, AT_SYMLINK_NOFOLLOW_FLAG) == 0 &&
           still_there(generation) && __atomic_load_n(&r->stamp, __ATOMIC_SEQ_CST) == stamp;
}
