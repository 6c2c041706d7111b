/*
 * AF_UNIX sockets: making, connecting, ending.
 */
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/socket.h>

#include "platform/clock.h"
#include "platform/errno.h"
#include "shim/fs/unix_internal.h"
#include "shim/net/device.h"
#include "shim/process.h"
#include "shim/shim.h"
#include "shim/stats.h"
#include "shim/syscall.h"

static const struct file_ops unix_file_ops;
static int unix_peer_name(struct file *f, struct socket_address *out);

static struct unix_socket *unix_of(struct file *f)
{
    return f->data;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static struct mutex g_all_lock;
static struct unix_socket *g_all;

static void identify(struct unix_identity *who, const struct task *task)
{
    const struct process *p = task->process;

    who->id = socket_credentials_of(task);
    who->group_count = p->group_count;
    memcpy(who->groups, p->groups, p->group_count * sizeof(p->groups[0]));
}

static struct unix_socket *unix_alloc(int type, const struct task *task)
{
    struct unix_socket *s = shim_zalloc_line(sizeof(*s));

    if (!s)
        return NULL;
    s->refs = 1;
    s->type = type;
    socket_settings_init(&s->set);
    identify(&s->self, task);
    s->other.id = (struct socket_credentials){0, UINT32_MAX, UINT32_MAX};
    mutex_lock(&g_all_lock);
    DL_APPEND2(g_all, s, all_prev, all_next);
    mutex_unlock(&g_all_lock);
    return s;
}

void unix_put(struct unix_socket *s)
{
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    mutex_lock(&g_all_lock);
    DL_DELETE2(g_all, s, all_prev, all_next);
    mutex_unlock(&g_all_lock);
    shim_free_line(s->spare);
    shim_free_line(s);
}

/* Under g_all_lock: `s` or the first after it that has not lost its last reference, with one more. */
static struct unix_socket *lasting(struct unix_socket *s)
{
    for (; s; s = s->all_next) {
        uint32_t refs = __atomic_load_n(&s->refs, __ATOMIC_RELAXED);
        while (refs && !__atomic_compare_exchange_n(&s->refs, &refs, refs + 1, false,
                                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        if (refs)
            return s;
    }
    return NULL;
}

void unix_walk(void (*fn)(void *arg, struct unix_socket *s), void *arg)
{
    struct unix_socket *s, *next;

    mutex_lock(&g_all_lock);
    s = lasting(g_all);
    mutex_unlock(&g_all_lock);
    for (; s; s = next) {
        fn(arg, s);
        mutex_lock(&g_all_lock);
        next = lasting(s->all_next);
        mutex_unlock(&g_all_lock);
        unix_put(s);
    }
}

struct unix_socket *unix_peer(struct unix_socket *s)
{
    struct unix_socket *peer;

    mutex_lock(&s->lock);
    peer = s->peer;
    if (peer)
        unix_get(peer);
    mutex_unlock(&s->lock);
    return peer;
}

/* The other end is gone; unread data of ours at it means a reset (unix(7) follows TCP here). */
static void peer_gone(struct unix_socket *s, struct unix_socket *gone, bool reset)
{
    bool mine;

    mutex_lock(&s->lock);
    mine = s->peer == gone;
    if (mine && s->type != SOCK_DGRAM) {
        s->shut = SHUT_IN | SHUT_OUT;
        if (reset)
            s->error = -ECONNRESET;
    }
    mutex_unlock(&s->lock);
    if (mine) {
        wait_queue_wake_all(&s->wait);
        if (s->type != SOCK_DGRAM)
            async_notify(&s->async, ASYNC_HANG_UP);
    }
}

/* Nobody will use this end any more. Its references from elsewhere may last. */
static void unix_end(struct unix_socket *s)
{
    struct unix_socket *peer, *pending, *next;
    struct message *queue;

    unix_name_drop(s);
    mutex_lock(&s->lock);
    s->state = SOCKET_DEAD;
    s->shut = SHUT_IN | SHUT_OUT;
    peer = s->peer;
    s->peer = NULL;
    queue = s->queue;
    s->queue = s->urgent = NULL;
    s->queued = 0;
    pending = s->pending;
    s->pending = NULL;
    mutex_unlock(&s->lock);
    wait_queue_wake_all(&s->wait);
    unix_crowd_wake(s);
    if (peer) {
        unix_crowd_leave(s, peer);
        peer_gone(peer, s, queue != NULL);
        unix_put(peer);
    }
    messages_free(queue);
    for (; pending; pending = next) {
        next = pending->pending_next;
        unix_end(pending); /* has no pending ones of its own: no deeper */
        unix_put(pending);
    }
}

static void unix_release(struct file *f)
{
    struct unix_socket *s = f->data;

    mutex_lock(&s->lock);
    s->file = NULL;
    mutex_unlock(&s->lock);
    unix_end(s);
    unix_put(s);
    if (!socket_files_being_put())
        unix_collect(); /* it may have been the last way to others */
}

/* The next read starts at the urgent byte, or where it was. */
static int at_mark(struct unix_socket *s, uint64_t arg)
{
    const struct message *m;
    int at;

    if (s->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    mutex_lock(&s->lock);
    m = s->queue;
    at = m && (m == s->urgent || (m->done == m->size && (!s->urgent || m->next == s->urgent)));
    mutex_unlock(&s->lock);
    return user_write(arg, &at, sizeof(at));
}

static int64_t unix_ioctl(struct task *task, struct file *f, unsigned request, uint64_t arg)
{
    struct unix_socket *s = f->data;
    int bytes;

    (void)task;
    if (request == SIOCATMARK)
        return at_mark(s, arg);
    if (request != FIONREAD)
        return device_ioctl(AF_UNIX, request, arg);
    mutex_lock(&s->lock);
    if (s->state == SOCKET_LISTENING)
        bytes = -1;
    else if (s->type == SOCK_STREAM)
        bytes = (int)s->queued;
    else /* of the next packet */
        bytes = s->queue ? (int)s->queue->size : 0;
    mutex_unlock(&s->lock);
    return bytes < 0 ? -EINVAL : user_write(arg, &bytes, sizeof(bytes));
}

static struct file *unix_file(struct unix_socket *s, uint32_t flags, int *err)
{
    struct file *f = file_create(&unix_file_ops, O_RDWR | flags, s, err);

    if (f) {
        s->id = f->id;
        s->file = f;
    }
    return f;
}

static int check_type(int *type, int protocol)
{
    if (protocol && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (*type == SOCK_RAW) /* as Linux does for this family */
        *type = SOCK_DGRAM;
    return *type == SOCK_STREAM || *type == SOCK_DGRAM || *type == SOCK_SEQPACKET
               ? 0
               : -ESOCKTNOSUPPORT;
}

struct file *unix_create(struct task *task, int type, int protocol, uint32_t flags, int *err)
{
    struct unix_socket *s;
    struct file *f;

    *err = check_type(&type, protocol);
    if (*err)
        return NULL;
    s = unix_alloc(type, task);

    if (!s) {
        *err = -ENOMEM;
        return NULL;
    }
    f = unix_file(s, flags, err);
    if (!f)
        unix_put(s);
    return f;
}

/* a learns of b and holds it. */
static void join(struct unix_socket *a, struct unix_socket *b, const struct unix_identity *who)
{
    unix_get(b);
    a->peer = b;
    a->state = SOCKET_CONNECTED;
    a->other = *who;
}

int unix_pair(struct task *task, int type, int protocol, uint32_t flags, struct file *out[2])
{
    int err = 0;

    out[0] = unix_create(task, type, protocol, flags, &err);
    if (!out[0])
        return err;
    out[1] = unix_create(task, type, protocol, flags, &err);
    if (!out[1]) {
        file_put(out[0]);
        return err;
    }
    join(unix_of(out[0]), unix_of(out[1]), &unix_of(out[1])->self);
    join(unix_of(out[1]), unix_of(out[0]), &unix_of(out[0])->self);
    return 0;
}

/* ---- connecting ------------------------------------------------------------------------------------------------- */

static int check_address(const struct socket_address *a)
{
    return a->family == AF_UNIX && a->size <= SOCKET_ADDRESS_MAX ? 0 : -EINVAL;
}

static int unix_bind(struct task *task, struct file *f, const struct socket_address *address)
{
    struct unix_socket *s = unix_of(f);
    bool named;
    int r = check_address(address);

    if (r)
        return r;
    mutex_lock(&s->lock);
    named = s->name.size > 2;
    mutex_unlock(&s->lock);
    return named ? -EINVAL : unix_name_bind(task, s, address);
}

static int unix_listen(struct task *task, struct file *f, int backlog)
{
    struct unix_socket *s = unix_of(f);
    int r = 0;

    if (s->type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    mutex_lock(&s->lock);
    if (s->name.size <= 2 || (s->state != SOCKET_OPEN && s->state != SOCKET_LISTENING)) {
        r = -EINVAL;
    } else {
        s->state = SOCKET_LISTENING;
        s->backlog = backlog < 0 || backlog > 4096 ? 4096 : (unsigned)backlog;
        identify(&s->self, task);
    }
    mutex_unlock(&s->lock);
    if (!r)
        wait_queue_wake_all(&s->wait);
    return r;
}

/* Datagrams: connect sets or (AF_UNSPEC) clears where send(2) goes. */
static int connect_datagram(struct task *task, struct unix_socket *s,
                            const struct socket_address *address)
{
    struct unix_socket *to = NULL, *old;
    int err = 0;

    if (address->family != 0) {
        err = unix_name_wanted(task, s);
        to = err ? NULL : unix_name_find(task, address, &err);
        if (!to)
            return err;
        if (to->type != s->type) {
            unix_put(to);
            return -EPROTOTYPE;
        }
    }
    mutex_lock(&s->lock);
    old = s->peer;
    s->peer = to;
    s->state = to ? SOCKET_CONNECTED : SOCKET_OPEN;
    mutex_unlock(&s->lock);
    if (old) {
        if (old != to)
            unix_crowd_leave(s, old);
        unix_put(old);
    }
    return 0;
}

/* Under the listener's lock, with room in its queue. `end` becomes the listener's side of the connection. */
static void enqueue_connection(struct unix_socket *listener, struct unix_socket *s,
                               struct unix_socket *end)
{
    end->name = listener->name;
    join(end, s, &end->self); /* it was made by who connects */
    unix_get(end);
    DL_APPEND2(listener->pending, end, pending_prev, pending_next);
    listener->pending_count++;
}

static int try_connect(struct unix_socket *s, struct unix_socket *listener, struct unix_socket *end)
{
    struct unix_identity listened;
    int r = 0;

    mutex_lock(&listener->lock);
    listened = listener->self;
    if (listener->state != SOCKET_LISTENING)
        r = -ECONNREFUSED;
    else if (listener->pending_count > listener->backlog)
        r = -EAGAIN;
    else
        enqueue_connection(listener, s, end);
    mutex_unlock(&listener->lock);
    if (r)
        return r;
    mutex_lock(&s->lock);
    join(s, end, &listened);
    mutex_unlock(&s->lock);
    wait_queue_wake_all(&listener->wait);
    wait_queue_wake_all(&s->wait);
    async_notify(&listener->async, ASYNC_IN);
    return 0;
}

static int unix_connect(struct task *task, struct file *f, const struct socket_address *address)
{
    struct unix_socket *s = unix_of(f), *listener, *end;
    struct waiter w = {0};
    uint64_t deadline;
    int r = address->family == AF_UNSPEC ? 0 : check_address(address);

    if (r)
        return r;
    if (s->type == SOCK_DGRAM)
        return connect_datagram(task, s, address);
    mutex_lock(&s->lock);
    if (s->state == SOCKET_CONNECTED)
        r = -EISCONN;
    else if (s->state != SOCKET_OPEN)
        r = -EINVAL;
    deadline = socket_deadline(s->set.send_timeout_ns);
    mutex_unlock(&s->lock);
    if (r)
        return r;
    r = unix_name_wanted(task, s);
    listener = r ? NULL : unix_name_find(task, address, &r);
    if (!listener)
        return r;
    end = unix_alloc(s->type, task);
    if (!end || listener->type != s->type) {
        r = end ? -EPROTOTYPE : -ENOMEM;
    } else {
        r = try_connect(s, listener, end);
        while (r == -EAGAIN && socket_blocks(f, 0)) {
            int wait = socket_wait(task, &listener->wait, &w, deadline);
            r = try_connect(s, listener, end);
            if (r == -EAGAIN && wait) {
                r = wait;
                break;
            }
        }
    }
    wait_queue_remove(&w);
    unix_put(listener);
    if (end)
        unix_put(end);
    return r;
}

static void *take_pending(struct file *f, int *err)
{
    struct unix_socket *listener = unix_of(f), *end = NULL;

    mutex_lock(&listener->lock);
    if (listener->state != SOCKET_LISTENING) {
        *err = -EINVAL;
    } else if (!listener->pending) {
        *err = -EAGAIN;
    } else {
        end = listener->pending;
        DL_DELETE2(listener->pending, end, pending_prev, pending_next);
        listener->pending_count--;
    }
    mutex_unlock(&listener->lock);
    return end;
}

static struct file *unix_accept(struct task *task, struct file *f, uint32_t flags,
                                struct socket_address *from, int *err)
{
    struct unix_socket *listener = unix_of(f), *end;
    struct file *made;

    if (listener->type == SOCK_DGRAM) {
        *err = -EOPNOTSUPP;
        return NULL;
    }
    end =
        socket_await(task, f, &listener->wait, listener->set.receive_timeout_ns, take_pending, err);
    if (!end)
        return NULL;
    wait_queue_wake_all(&listener->wait); /* room for another connect */
    made = unix_file(end, flags, err);
    if (!made) {
        unix_end(end);
        unix_put(end);
        return NULL;
    }
    if (unix_peer_name(made, from)) /* it has closed again already: no name, as in Linux */
        *from = (struct socket_address){.family = 1, .size = 2};
    return made;
}

static int unix_shutdown(struct file *f, int how)
{
    struct unix_socket *s = unix_of(f), *peer;
    unsigned bits = how == SHUT_RD ? SHUT_IN : how == SHUT_WR ? SHUT_OUT : SHUT_IN | SHUT_OUT;
    unsigned mirrored = (bits & SHUT_IN ? SHUT_OUT : 0) | (bits & SHUT_OUT ? SHUT_IN : 0);

    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    mutex_lock(&s->lock);
    s->shut |= bits;
    mutex_unlock(&s->lock);
    peer = unix_peer(s);
    if (peer && s->type != SOCK_DGRAM) {
        mutex_lock(&peer->lock);
        peer->shut |= mirrored;
        mutex_unlock(&peer->lock);
        wait_queue_wake_all(&peer->wait);
        if (mirrored & SHUT_IN)
            async_notify(&peer->async, mirrored & SHUT_OUT ? ASYNC_HANG_UP : ASYNC_IN);
    }
    wait_queue_wake_all(&s->wait);
    if (!peer)
        return s->type == SOCK_DGRAM ? 0 : -ENOTCONN;
    unix_put(peer);
    return 0;
}

static void copy_name(struct unix_socket *s, struct socket_address *out)
{
    mutex_lock(&s->lock);
    *out = s->name;
    mutex_unlock(&s->lock);
    out->family = 1;
    if (out->size < 2)
        out->size = 2;
}

static int unix_name(struct file *f, struct socket_address *out)
{
    copy_name(unix_of(f), out);
    return 0;
}

static int unix_peer_name(struct file *f, struct socket_address *out)
{
    struct unix_socket *peer = unix_peer(unix_of(f));

    if (!peer)
        return -ENOTCONN;
    copy_name(peer, out);
    unix_put(peer);
    return 0;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

/* As many as there are, or -ERANGE and how much room they take. */
static int give_groups(const struct unix_identity *who, void *value, unsigned *size)
{
    unsigned need = who->group_count * (unsigned)sizeof(who->groups[0]);

    if (!who->id.pid)
        return -ENODATA;
    if (*size < need) {
        *size = need;
        return -ERANGE;
    }
    return socket_give(value, size, who->groups, need);
}

static int unix_get_option(struct file *f, int level, int option, void *value, unsigned *size)
{
    struct unix_socket *s = unix_of(f);
    int r, number;

    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    mutex_lock(&s->lock);
    switch (option) {
    case SO_TYPE:
        r = socket_give_int(value, size, s->type);
        break;
    case SO_DOMAIN:
        r = socket_give_int(value, size, AF_UNIX);
        break;
    case SO_PROTOCOL:
        r = socket_give_int(value, size, 0);
        break;
    case SO_ERROR:
        number = -s->error;
        s->error = 0;
        r = socket_give_int(value, size, number);
        break;
    case SO_ACCEPTCONN:
        r = socket_give_int(value, size, s->state == SOCKET_LISTENING);
        break;
    case SO_PEERCRED:
        r = socket_give(value, size, &s->other.id, sizeof(s->other.id));
        break;
    case SO_PEERGROUPS:
        r = give_groups(&s->other, value, size);
        break;
    default:
        r = socket_settings_get(&s->set, option, value, size);
    }
    mutex_unlock(&s->lock);
    if (r == -ENOPROTOOPT)
        stats_unsupported("getsockopt: option");
    return r;
}

static int unix_set_option(struct task *task, struct file *f, int level, int option,
                           const void *value, unsigned size)
{
    struct unix_socket *s = unix_of(f);
    int r;

    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    mutex_lock(&s->lock);
    r = socket_settings_set(task, &s->set, option, value, size);
    mutex_unlock(&s->lock);
    if (r == -ENOPROTOOPT)
        stats_unsupported("setsockopt: option");
    return r;
}

static const struct socket_ops unix_ops = {
    .family = AF_UNIX,
    .bind = unix_bind,
    .listen = unix_listen,
    .connect = unix_connect,
    .accept = unix_accept,
    .send = unix_send,
    .receive = unix_receive,
    .shutdown = unix_shutdown,
    .name = unix_name,
    .peer_name = unix_peer_name,
    .get_option = unix_get_option,
    .set_option = unix_set_option,
};

static void unix_async_lists(struct file *f, struct async_list *lists[ASYNC_LISTS_MAX])
{
    lists[0] = &unix_of(f)->async;
}

static const struct file_ops unix_file_ops = {
    .kind = "socket",
    .socket = &unix_ops,
    .read = socket_file_read,
    .write = socket_file_write,
    .poll = unix_file_poll,
    .ioctl = unix_ioctl,
    .stat = socket_file_stat,
    .async_lists = unix_async_lists,
    .release = unix_release,
};
