#include <gtest/gtest.h>

#include <cstdio>
#include <string>

extern "C" {
#include "shim/base/string.h"
}

namespace
{
/* The C library is the model: same format, same arguments, same text. */
#define EXPECT_AS_LIBC(...)                                                                        \
    do {                                                                                           \
        char ours[256], theirs[256];                                                               \
        int our_length = shim_snprintf(ours, sizeof(ours), __VA_ARGS__);                           \
        int their_length = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                          \
        EXPECT_STREQ(ours, theirs);                                                                \
        EXPECT_EQ(our_length, their_length);                                                       \
    } while (0)

TEST(Format, Numbers)
{
    EXPECT_AS_LIBC("%d %i %u", -1, 2147483647, 4294967295u);
    EXPECT_AS_LIBC("%d", (-2147483647 - 1));
    EXPECT_AS_LIBC("%lld %llu", (-9223372036854775807LL - 1), 18446744073709551615ULL);
    EXPECT_AS_LIBC("%x %X %o %#x %#o", 0xbeefu, 0xbeefu, 0777u, 0xbeefu, 0777u);
    EXPECT_AS_LIBC("%#x|%#o", 0u, 0u);
    EXPECT_AS_LIBC("%hhd %hd %ld %zu %jd", static_cast<char>(-3), static_cast<short>(-300), -3L,
                   sizeof(int), static_cast<intmax_t>(5));
}

TEST(Format, WidthPrecisionAndFlags)
{
    EXPECT_AS_LIBC("[%5d][%-5d][%05d][%+d]", 42, 42, 42, 42);
    EXPECT_AS_LIBC("[%8.3d][%-8.3x][%08x]", 5, 5u, 5u);
    EXPECT_AS_LIBC("[%*d][%-*d][%.*s]", 6, 1, 6, 1, 2, "abc");
    EXPECT_AS_LIBC("[%6s][%-6s][%.2s]", "abc", "abc", "abc");
    EXPECT_AS_LIBC("[%5c][%-5c][%c%%]", 'a', 'b', 'c');
}

TEST(Format, CutsAndReportsTheWholeLength)
{
    char small[4];
    EXPECT_EQ(shim_snprintf(small, sizeof(small), "%s", "abcdef"), 6);
    EXPECT_STREQ(small, "abc");
    EXPECT_EQ(shim_snprintf(nullptr, 0, "%d", 12345), 5);
}

TEST(StrBuf, Grows)
{
    str_buf b = {};
    std::string expected;
    for (int i = 0; i < 1000; i++) {
        str_buf_printf(&b, "%d,", i);
        expected += std::to_string(i) + ",";
    }
    EXPECT_EQ(std::string(b.data, b.length), expected);
    EXPECT_EQ(b.data[b.length], '\0');
    EXPECT_FALSE(b.failed);
    str_buf_free(&b);
}
} // namespace
