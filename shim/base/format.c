/*
 * format.c: printf without floats, and strings that grow.
 */
#include "shim/base/string.h"

struct sink {
    char *out;
    size_t size, length; /* length counts what did not fit as well */
};

static void sink_char(struct sink *s, char c)
{
    if (s->length + 1 < s->size)
        s->out[s->length] = c;
    s->length++;
}

static void sink_fill(struct sink *s, char c, int count)
{
    while (count-- > 0)
        sink_char(s, c);
}

struct spec {
    bool left, zero, plus, space, alternate;
    int width, precision; /* precision -1: not given */
    int length;           /* sizeof of the integer */
};

static void format_text(struct sink *s, const struct spec *spec, const char *text, size_t length)
{
    int pad = spec->width > (int)length ? spec->width - (int)length : 0;
    if (!spec->left)
        sink_fill(s, ' ', pad);
    for (size_t i = 0; i < length; i++)
        sink_char(s, text[i]);
    if (spec->left)
        sink_fill(s, ' ', pad);
}

static void format_number(struct sink *s, const struct spec *spec, uint64_t value, unsigned base,
                          const char *prefix, bool upper)
{
    char digits[24];
    int count = 0;
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    while (value) {
        digits[count++] = set[value % base];
        value /= base;
    }
    int wanted = spec->precision >= 0 ? spec->precision : 1;
    int prefix_length = (int)str_length(prefix);
    int body = prefix_length + (count > wanted ? count : wanted);
    if (spec->zero && !spec->left && spec->precision < 0 && spec->width > body) {
        wanted = spec->width - prefix_length;
        body = spec->width;
    }
    if (!spec->left)
        sink_fill(s, ' ', spec->width - body);
    for (int i = 0; i < prefix_length; i++)
        sink_char(s, prefix[i]);
    sink_fill(s, '0', wanted - count);
    while (count > 0)
        sink_char(s, digits[--count]);
    if (spec->left)
        sink_fill(s, ' ', spec->width - body);
}

static const char *parse_decimal(const char *p, int *out)
{
    int value = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (value < 100000)
            value = value * 10 + (*p - '0');
    *out = value;
    return p;
}

static const char *parse_flags(const char *p, struct spec *spec)
{
    for (;; p++) {
        if (*p == '-')
            spec->left = true;
        else if (*p == '0')
            spec->zero = true;
        else if (*p == '+')
            spec->plus = true;
        else if (*p == ' ')
            spec->space = true;
        else if (*p == '#')
            spec->alternate = true;
        else
            return p;
    }
}

static const char *parse_length(const char *p, struct spec *spec)
{
    spec->length = sizeof(int);
    if (p[0] == 'h') {
        spec->length = p[1] == 'h' ? sizeof(char) : sizeof(short);
        return p + (p[1] == 'h' ? 2 : 1);
    }
    if (p[0] == 'l' || p[0] == 'z' || p[0] == 'j' || p[0] == 't') {
        spec->length = sizeof(int64_t);
        return p + (p[0] == 'l' && p[1] == 'l' ? 2 : 1);
    }
    return p;
}

static void format_signed(struct sink *s, const struct spec *spec, int64_t value)
{
    if (spec->length == sizeof(char))
        value = (int64_t)((uint64_t)value << 56) >> 56;
    else if (spec->length == sizeof(short))
        value = (int64_t)((uint64_t)value << 48) >> 48;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";
    format_number(s, spec, magnitude, 10, sign, false);
}

static void format_unsigned(struct sink *s, const struct spec *spec, uint64_t value, char kind)
{
    if (spec->length == sizeof(char))
        value = (unsigned char)value;
    else if (spec->length == sizeof(short))
        value = (unsigned short)value;
    unsigned base = kind == 'o' ? 8 : kind == 'u' ? 10 : 16;
    const char *prefix = "";
    if (spec->alternate && value)
        prefix = kind == 'x' ? "0x" : kind == 'X' ? "0X" : kind == 'o' ? "0" : "";
    format_number(s, spec, value, base, prefix, kind == 'X');
}

int shim_vsnprintf(char *out, size_t size, const char *fmt, va_list args)
{
    struct sink s = {.out = out, .size = size};
    for (const char *p = fmt; *p; p++) {
        if (*p != '%') {
            sink_char(&s, *p);
            continue;
        }
        struct spec spec = {.precision = -1};
        p = parse_flags(p + 1, &spec);
        if (*p == '*') {
            spec.width = va_arg(args, int);
            p++;
        } else {
            p = parse_decimal(p, &spec.width);
        }
        if (spec.width < 0) {
            spec.left = true;
            spec.width = -spec.width;
        }
        if (*p == '.') {
            p++;
            if (*p == '*') {
                spec.precision = va_arg(args, int);
                p++;
            } else {
                p = parse_decimal(p, &spec.precision);
            }
        }
        p = parse_length(p, &spec);
        switch (*p) {
        case 'd':
        case 'i':
            format_signed(&s, &spec, spec.length == 8 ? va_arg(args, int64_t) : va_arg(args, int));
            break;
        case 'u':
        case 'x':
        case 'X':
        case 'o':
            format_unsigned(&s, &spec,
                            spec.length == 8 ? va_arg(args, uint64_t) : va_arg(args, unsigned), *p);
            break;
        case 'p':
            spec.alternate = true;
            spec.length = 8;
            format_unsigned(&s, &spec, (uintptr_t)va_arg(args, void *), 'x');
            break;
        case 'c': {
            char c = (char)va_arg(args, int);
            format_text(&s, &spec, &c, 1);
            break;
        }
        case 's': {
            const char *text = va_arg(args, const char *);
            if (!text)
                text = "(null)";
            size_t max = spec.precision >= 0 ? (size_t)spec.precision : SIZE_MAX;
            format_text(&s, &spec, text, str_nlength(text, max));
            break;
        }
        case '%':
            sink_char(&s, '%');
            break;
        default: /* unknown: shown as it stands */
            sink_char(&s, '%');
            if (*p)
                sink_char(&s, *p);
            else
                p--;
            break;
        }
    }
    if (size)
        out[s.length < size ? s.length : size - 1] = '\0';
    return (int)s.length;
}

int shim_snprintf(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = shim_vsnprintf(out, size, fmt, args);
    va_end(args);
    return n;
}
