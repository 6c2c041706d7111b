#include <gtest/gtest.h>

extern "C" {
#include "shim/base/string.h"
}

namespace
{
TEST(String, NumbersAreTakenWholeOrNotAtAll)
{
    uint64_t u = 7;
    EXPECT_TRUE(str_to_u64("18446744073709551615", &u));
    EXPECT_EQ(u, UINT64_MAX);
    EXPECT_TRUE(str_to_u64("0x1F", &u));
    EXPECT_EQ(u, 31u);
    for (const char *bad : {"", "18446744073709551616", "12x", "-1", " 1", "0x", "x"})
        EXPECT_FALSE(str_to_u64(bad, &u)) << bad;
    int64_t i;
    EXPECT_TRUE(str_to_i64("-9223372036854775808", &i));
    EXPECT_EQ(i, INT64_MIN);
    EXPECT_FALSE(str_to_i64("9223372036854775808", &i));
}

TEST(String, CopyAlwaysTerminatesAndReportsTheSourceLength)
{
    char out[4];
    EXPECT_EQ(str_copy(out, "abcdef", sizeof(out)), 6u);
    EXPECT_STREQ(out, "abc");
    EXPECT_EQ(str_copy(out, "ab", sizeof(out)), 2u);
    EXPECT_STREQ(out, "ab");
}

TEST(String, FindAndCompare)
{
    EXPECT_STREQ(str_find("a/b/c", '/'), "/b/c");
    EXPECT_STREQ(str_find_last("a/b/c", '/'), "/c");
    EXPECT_EQ(str_find("abc", 'x'), nullptr);
    EXPECT_TRUE(str_starts_with("/proc/self", "/proc"));
    EXPECT_FALSE(str_starts_with("/pro", "/proc"));
    EXPECT_LT(str_compare("a", "b"), 0);
    EXPECT_GT(str_compare("\xff", "a"), 0);
    EXPECT_EQ(str_compare("a", "a"), 0);
    EXPECT_EQ(str_nlength("abc", 2), 2u);
}
} // namespace
