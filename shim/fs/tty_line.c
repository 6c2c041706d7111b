#include "shim/fs/tty_line.h"

#include <linux/signal.h>

#include "platform/errno.h"
#include "shim/base/string.h"

#define DISABLED 0 /* _POSIX_VDISABLE */
#define TAB_STOP 8

/* What stty calls sane: tty_std_termios of a pseudo-terminal. */
void tty_line_init(struct tty_line *l, char *input, char *output, size_t capacity)
{
    static const unsigned char keys[NCCS] = {
        [VINTR] = 3,     [VQUIT] = 28,    [VERASE] = 127, [VKILL] = 21,  [VEOF] = 4,
        [VTIME] = 0,     [VMIN] = 1,      [VSTART] = 17,  [VSTOP] = 19,  [VSUSP] = 26,
        [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22,
    };

    memset(l, 0, sizeof(*l));
    l->attr.c_iflag = ICRNL | IXON;
    l->attr.c_oflag = OPOST | ONLCR;
    l->attr.c_cflag = B38400 | CS8 | CREAD;
    l->attr.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
    memcpy(l->attr.c_cc, keys, sizeof(keys));
    l->input = (struct ring){.data = input, .capacity = capacity};
    l->output = (struct ring){.data = output, .capacity = capacity};
}

void tty_line_reset(struct tty_line *l)
{
    struct ring output = l->output;

    tty_line_init(l, l->input.data, output.data, output.capacity);
    l->output = output;
}

static bool flag(uint32_t flags, uint32_t bit)
{
    return (flags & bit) != 0;
}

static bool is_key(const struct tty_line *l, int which, unsigned char c)
{
    return l->attr.c_cc[which] != DISABLED && l->attr.c_cc[which] == c;
}

/* ---- to the screen ---------------------------------------------------------------------------------------------- */

static void raw_put(struct tty_line *l, unsigned char c)
{
    ring_put(&l->output, mem_shim(&c, 1), 1);
}

bool tty_line_put(struct tty_line *l, unsigned char c)
{
    if (ring_free(&l->output) < TAB_STOP)
        return false;
    if (!flag(l->attr.c_oflag, OPOST)) {
        raw_put(l, c);
        return true;
    }
    switch (c) {
    case '\n':
        if (flag(l->attr.c_oflag, ONLCR))
            raw_put(l, '\r');
        if (flag(l->attr.c_oflag, ONLCR | ONLRET))
            l->column = 0;
        break;
    case '\r':
        if (flag(l->attr.c_oflag, ONOCR) && !l->column)
            return true;
        if (flag(l->attr.c_oflag, OCRNL)) {
            c = '\n';
            break;
        }
        l->column = 0;
        break;
    case '\t': {
        unsigned spaces = TAB_STOP - l->column % TAB_STOP;
        l->column += spaces;
        if ((l->attr.c_oflag & TABDLY) != XTABS)
            break;
        while (spaces--)
            raw_put(l, ' ');
        return true;
    }
    case '\b':
        if (l->column)
            l->column--;
        break;
    default:
        if (flag(l->attr.c_oflag, OLCUC) && c >= 'a' && c <= 'z')
            c = (unsigned char)(c - 32);
        if (c >= 32 && c != 127 && (c & 0xc0) != 0x80) /* not a continuation byte of UTF-8 */
            l->column++;
    }
    raw_put(l, c);
    return true;
}

static bool shows_as_caret(const struct tty_line *l, unsigned char c)
{
    return flag(l->attr.c_lflag, ECHOCTL) && (c < 32 || c == 127) && c != '\t' && c != '\n';
}

/* Echo is lost when the screen has no room, as on a line nobody reads. */
static void echo(struct tty_line *l, unsigned char c)
{
    if (shows_as_caret(l, c)) {
        tty_line_put(l, '^');
        c ^= 0x40;
    }
    tty_line_put(l, c);
}

static void echo_if(struct tty_line *l, unsigned char c)
{
    if (flag(l->attr.c_lflag, ECHO) || (c == '\n' && flag(l->attr.c_lflag, ECHONL)))
        echo(l, c);
}

/* ---- editing a line --------------------------------------------------------------------------------------------- */

static unsigned screen_width(const struct tty_line *l, unsigned char c)
{
    if (c == '\t')
        return 1; /* cannot be known without redrawing; see erase_one */
    if (shows_as_caret(l, c))
        return 2;
    if (flag(l->attr.c_iflag, IUTF8) && (c & 0xc0) == 0x80)
        return 0;
    return c < 32 ? 0 : 1;
}

static void wipe(struct tty_line *l, unsigned width)
{
    while (width--) {
        tty_line_put(l, '\b');
        tty_line_put(l, ' ');
        tty_line_put(l, '\b');
    }
}

static void erase_one(struct tty_line *l)
{
    unsigned width = 0;
    unsigned char c;

    do {
        c = (unsigned char)l->edit[--l->edit_length];
        width += screen_width(l, c);
    } while (l->edit_length && flag(l->attr.c_iflag, IUTF8) && (c & 0xc0) == 0x80);
    if (!flag(l->attr.c_lflag, ECHO))
        return;
    if (flag(l->attr.c_lflag, ECHOE))
        wipe(l, width);
    else
        echo(l, l->attr.c_cc[VERASE]);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

static void erase_word(struct tty_line *l)
{
    while (l->edit_length && !is_word(l->edit[l->edit_length - 1]))
        erase_one(l);
    while (l->edit_length && is_word(l->edit[l->edit_length - 1]))
        erase_one(l);
}

static void erase_line(struct tty_line *l)
{
    if (flag(l->attr.c_lflag, ECHOKE) && flag(l->attr.c_lflag, ECHOE)) {
        while (l->edit_length)
            erase_one(l);
        return;
    }
    l->edit_length = 0;
    if (!flag(l->attr.c_lflag, ECHO))
        return;
    echo(l, l->attr.c_cc[VKILL]);
    if (flag(l->attr.c_lflag, ECHOK))
        tty_line_put(l, '\n');
}

static void reprint(struct tty_line *l)
{
    echo_if(l, l->attr.c_cc[VREPRINT]);
    tty_line_put(l, '\n');
    for (unsigned i = 0; i < l->edit_length; i++)
        echo_if(l, (unsigned char)l->edit[i]);
}

static void line_done(struct tty_line *l)
{
    ring_put(&l->input, mem_shim(l->edit, l->edit_length), l->edit_length);
    l->lines[(l->line_first + l->line_count++) % TTY_LINES_MAX] = (uint16_t)l->edit_length;
    l->edit_length = 0;
}

static void add_to_line(struct tty_line *l, unsigned char c)
{
    if (l->edit_length < TTY_LINE_MAX - 1) /* room for the end of the line remains */
        l->edit[l->edit_length++] = (char)c;
}

/* true: c was a command, or ended the line. */
static bool edit_key(struct tty_line *l, unsigned char c)
{
    bool extended = flag(l->attr.c_lflag, IEXTEN);

    if (is_key(l, VERASE, c)) {
        if (l->edit_length)
            erase_one(l);
    } else if (is_key(l, VKILL, c)) {
        erase_line(l);
    } else if (extended && is_key(l, VWERASE, c)) {
        erase_word(l);
    } else if (extended && is_key(l, VREPRINT, c) && flag(l->attr.c_lflag, ECHO)) {
        reprint(l);
    } else if (is_key(l, VEOF, c)) {
        line_done(l);
    } else if (c == '\n' || is_key(l, VEOL, c) || (extended && is_key(l, VEOL2, c))) {
        echo_if(l, c);
        l->edit[l->edit_length++] = (char)c;
        line_done(l);
    } else {
        return false;
    }
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

bool tty_line_accepts(const struct tty_line *l)
{
    return ring_free(&l->input) > l->edit_length + 1 && l->line_count < TTY_LINES_MAX;
}

static int signal_key(const struct tty_line *l, unsigned char c)
{
    if (!flag(l->attr.c_lflag, ISIG))
        return 0;
    if (is_key(l, VINTR, c))
        return SIGINT;
    if (is_key(l, VQUIT, c))
        return SIGQUIT;
    return is_key(l, VSUSP, c) ? SIGTSTP : 0;
}

static void start(struct tty_line *l)
{
    if (!l->held)
        l->stopped = false;
}

/* Output flow control. true: consumed. */
static bool flow_key(struct tty_line *l, unsigned char c)
{
    if (!flag(l->attr.c_iflag, IXON))
        return false;
    if (is_key(l, VSTART, c) && l->stopped) {
        start(l);
        return true;
    }
    if (is_key(l, VSTOP, c)) {
        l->stopped = true;
        return true;
    }
    if (is_key(l, VSTART, c))
        return true;
    if (l->stopped && flag(l->attr.c_iflag, IXANY))
        start(l);
    return false;
}

/* In Latin-1, as the kernel has it. */
static bool is_upper(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7);
}

/* false: the byte is dropped. */
static bool translate(const struct tty_line *l, unsigned char *c)
{
    if (flag(l->attr.c_iflag, ISTRIP))
        *c &= 0x7f;
    if (flag(l->attr.c_iflag, IUCLC) && flag(l->attr.c_lflag, IEXTEN) && is_upper(*c))
        *c += 'a' - 'A';
    if (*c == '\r') {
        if (flag(l->attr.c_iflag, IGNCR))
            return false;
        if (flag(l->attr.c_iflag, ICRNL))
            *c = '\n';
    } else if (*c == '\n' && flag(l->attr.c_iflag, INLCR)) {
        *c = '\r';
    }
    return true;
}

static void keep_key(struct tty_line *l, unsigned char c)
{
    if (flag(l->attr.c_lflag, ICANON))
        add_to_line(l, c);
    else
        ring_put(&l->input, mem_shim(&c, 1), 1);
}

static void plain_key(struct tty_line *l, unsigned char c)
{
    echo_if(l, c);
    if (c == 0xff && flag(l->attr.c_iflag, PARMRK)) /* one alone would mark an error */
        keep_key(l, c);
    keep_key(l, c);
}

int tty_line_key(struct tty_line *l, unsigned char c)
{
    int sig;

    if (l->literal) {
        l->literal = false;
        plain_key(l, c);
        return 0;
    }
    if (!translate(l, &c) || flow_key(l, c))
        return 0;
    sig = signal_key(l, c);
    if (sig) {
        start(l);
        if (!flag(l->attr.c_lflag, NOFLSH)) {
            tty_line_flush_input(l);
            if (l->output.used > l->batch_mark)
                l->output.used = l->batch_mark;
        }
        echo_if(l, c);
        return sig;
    }
    if (flag(l->attr.c_lflag, ICANON)) {
        if (flag(l->attr.c_lflag, IEXTEN) && is_key(l, VLNEXT, c)) {
            l->literal = true;
            if (flag(l->attr.c_lflag, ECHO) && flag(l->attr.c_lflag, ECHOCTL)) {
                tty_line_put(l, '^');
                tty_line_put(l, '\b');
            }
            return 0;
        }
        if (edit_key(l, c))
            return 0;
    }
    plain_key(l, c);
    return 0;
}

/* ---- readers ---------------------------------------------------------------------------------------------------- */

bool tty_line_readable(const struct tty_line *l, size_t wanted)
{
    return flag(l->attr.c_lflag, ICANON) ? l->line_count > 0
                                         : l->input.used >= (wanted ? wanted : 1);
}

int64_t tty_line_take(struct tty_line *l, struct mem_ref into)
{
    bool canonical = flag(l->attr.c_lflag, ICANON);
    size_t there = canonical ? l->lines[l->line_first] : l->input.used;
    size_t size = into.size < there ? into.size : there;
    size_t moved = ring_get(&l->input, into, size);

    if (canonical) {
        l->lines[l->line_first] = (uint16_t)(there - moved);
        /* A line whose bytes are all read is over; a lone VEOF was none to begin with. */
        if (there == moved) {
            l->line_first = (l->line_first + 1) % TTY_LINES_MAX;
            l->line_count--;
        }
    }
    return moved || !size ? (int64_t)moved : -EFAULT;
}

void tty_line_flush_input(struct tty_line *l)
{
    ring_drop(&l->input, l->input.used);
    l->line_count = 0;
    l->edit_length = 0;
    l->literal = false;
}

void tty_line_set_attr(struct tty_line *l, const struct termios *attr)
{
    bool was = flag(l->attr.c_lflag, ICANON), is = flag(attr->c_lflag, ICANON);

    l->attr = *attr;
    if (!flag(l->attr.c_iflag, IXON))
        start(l);
    if (was && !is) { /* what was typed so far can be read now */
        if (ring_free(&l->input) >= l->edit_length)
            ring_put(&l->input, mem_shim(l->edit, l->edit_length), l->edit_length);
        l->edit_length = 0;
        l->line_count = 0;
    } else if (!was && is && l->input.used) {
        l->line_first = 0;
        l->line_count = 1;
        l->lines[0] = (uint16_t)l->input.used;
    }
}
