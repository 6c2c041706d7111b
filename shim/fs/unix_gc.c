/*
 * Descriptors on their way between AF_UNIX sockets, and the sockets that only such descriptors hold: unix(7), SCM_RIGHTS.
 *
 * A queue owns the files in it, so sockets sent over each other and closed would live for ever. A socket can be reached when its
 * file has references that no message owns, or when it lies in the queue of one that can be reached. What is left after that is
 * marked is garbage: its messages go, and with them its last references.
 *
 * What is seen holds still while it is looked at: only somebody who reaches a socket can take a file out of its queue, and he waits for
 * g_flight_lock before he may use it (unix_land, unix_flight_settle). A message that was not put into a queue yet, or was taken
 * out and not settled, counts as owner of its files and is found in no queue: they look reached.
 */
#include <linux/capability.h>

#include "platform/errno.h"
#include "shim/fs/unix_internal.h"
#include "shim/process.h"

#define RLIMIT_NOFILE_INDEX 7 /* asm-generic/resource.h */

/* How many files a user has on their way. */
struct flier {
    UT_hash_handle hh;
    uint32_t uid;
    uint64_t count;
};

static struct mutex g_flight_lock; /* before the locks of sockets */
static struct unix_socket *g_in_flight;
static struct flier *g_fliers;

static struct unix_socket *unix_of_file(const struct file *f)
{
    const struct socket_ops *ops = socket_ops_of(f);

    return ops && ops->family == AF_UNIX ? f->data : NULL;
}

/* ---- counting --------------------------------------------------------------------------------------------------- */

/* NULL: memory is short. */
static struct flier *flier_of(uint32_t uid)
{
    struct flier *who;

    HASH_FIND(hh, g_fliers, &uid, sizeof(uid), who);
    if (who)
        return who;
    who = shim_zalloc(sizeof(*who));
    if (!who)
        return NULL;
    who->uid = uid;
    HASH_ADD(hh, g_fliers, uid, sizeof(who->uid), who);
    if (who->hh.tbl)
        return who;
    shim_free(who);
    return NULL;
}

static bool too_many(const struct process *p, const struct flier *who)
{
    return who->count > p->rlimits[RLIMIT_NOFILE_INDEX].cur &&
           !process_capable(p, CAP_SYS_RESOURCE) && !process_capable(p, CAP_SYS_ADMIN);
}

int unix_fly(struct task *task, struct socket_files *files)
{
    struct flier *who;
    int r = 0;

    mutex_lock(&g_flight_lock);
    who = flier_of(task->process->uid);
    if (!who || too_many(task->process, who))
        r = who ? -ETOOMANYREFS : -ENOMEM;
    for (unsigned i = 0; !r && i < files->count; i++) {
        struct unix_socket *s = unix_of_file(files->file[i]);
        if (s && s->in_flight++ == 0)
            DL_APPEND2(g_in_flight, s, flight_prev, flight_next);
    }
    if (!r) {
        who->count += files->count;
        files->uid = who->uid;
    }
    mutex_unlock(&g_flight_lock);
    return r;
}

void unix_land(struct socket_files *files)
{
    struct flier *who;

    mutex_lock(&g_flight_lock);
    for (unsigned i = 0; i < files->count; i++) {
        struct unix_socket *s = unix_of_file(files->file[i]);
        if (s && --s->in_flight == 0)
            DL_DELETE2(g_in_flight, s, flight_prev, flight_next);
    }
    HASH_FIND(hh, g_fliers, &files->uid, sizeof(files->uid), who);
    if (who)
        who->count -= files->count;
    if (who && !who->count) {
        HASH_DEL(g_fliers, who);
        shim_free(who);
    }
    mutex_unlock(&g_flight_lock);
}

void unix_flight_settle(void)
{
    mutex_lock(&g_flight_lock);
    mutex_unlock(&g_flight_lock);
}

/* ---- collecting ------------------------------------------------------------------------------------------------- */

struct search {
    struct unix_socket *reached; /* found, their queues not looked into yet; linked by ->gc_next */
    struct message *dead;
};

typedef void (*queue_visit)(struct search *search, struct unix_socket *s);

/* Under s->lock: visit the queues that go when `s` goes. Connections nobody accepted have no other way to them. */
static void visit_queues(struct search *search, struct unix_socket *s, queue_visit visit)
{
    struct unix_socket *end;

    mutex_lock(&s->lock);
    visit(search, s);
    DL_FOREACH2(s->pending, end, pending_next)
    {
        mutex_lock(&end->lock);
        visit(search, end);
        mutex_unlock(&end->lock);
    }
    mutex_unlock(&s->lock);
}

typedef void (*socket_visit)(struct search *search, struct unix_socket *s);

static void visit_suspects(struct search *search, struct unix_socket *s, socket_visit visit)
{
    struct message *m;

    DL_FOREACH(s->queue, m)
    {
        for (unsigned i = 0; m->files && i < m->files->count; i++) {
            struct unix_socket *inside = unix_of_file(m->files->file[i]);
            if (inside && inside->gc_suspect)
                visit(search, inside);
        }
    }
}

static void discount(struct search *search, struct unix_socket *s)
{
    (void)search;
    s->gc_outside--;
}

static void discount_queue(struct search *search, struct unix_socket *s)
{
    visit_suspects(search, s, discount);
}

static void reach(struct search *search, struct unix_socket *s)
{
    s->gc_suspect = false;
    LL_PREPEND2(search->reached, s, gc_next);
}

static void reach_queue(struct search *search, struct unix_socket *s)
{
    visit_suspects(search, s, reach);
}

static void take_queue(struct search *search, struct unix_socket *s)
{
    struct message *m, *tmp;

    DL_FOREACH_SAFE(s->queue, m, tmp)
    {
        if (!m->files)
            continue;
        message_unlink(s, m);
        LL_PREPEND(search->dead, m);
    }
}

/* Under g_flight_lock. What nobody can reach any more, linked by ->next. */
static struct message *collect_pass(void)
{
    struct search search = {0};
    struct unix_socket *s;

    DL_FOREACH2(g_in_flight, s, flight_next)
    {
        s->gc_suspect = __atomic_load_n(&s->file->refs, __ATOMIC_ACQUIRE) == s->in_flight;
        s->gc_outside = s->in_flight;
    }
    DL_FOREACH2(g_in_flight, s, flight_next)
    if (s->gc_suspect)
        visit_queues(&search, s, discount_queue);
    DL_FOREACH2(g_in_flight, s, flight_next)
    if (s->gc_suspect && s->gc_outside)
        reach(&search, s);
    while (search.reached) {
        s = search.reached;
        LL_DELETE2(search.reached, s, gc_next);
        visit_queues(&search, s, reach_queue);
    }
    DL_FOREACH2(g_in_flight, s, flight_next)
    if (s->gc_suspect)
        visit_queues(&search, s, take_queue);
    return search.dead;
}

/* One at a time: who comes meanwhile, also out of what is freed here, only asks for another pass. */
void unix_collect(void)
{
    static enum { IDLE, BUSY, AGAIN } state; /* under g_flight_lock */

    if (!__atomic_load_n(&g_in_flight, __ATOMIC_RELAXED))
        return;
    mutex_lock(&g_flight_lock);
    if (state != IDLE) {
        state = AGAIN;
        mutex_unlock(&g_flight_lock);
        return;
    }
    do {
        struct message *dead;

        state = BUSY;
        dead = collect_pass();
        mutex_unlock(&g_flight_lock);
        messages_free(dead);
        mutex_lock(&g_flight_lock);
    } while (state == AGAIN);
    state = IDLE;
    mutex_unlock(&g_flight_lock);
}
