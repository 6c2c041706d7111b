#include <gtest/gtest.h>
#include <linux/mman.h>

#include <cerrno>
#include <random>

extern "C" {
#include "shim/base/alloc.h"
#include "tests/c_shims/mm_world.h"
}

namespace
{
constexpr unsigned kRead = 1, kWrite = 2, kReadWrite = 3, kExec = 4;

struct Mm : testing::Test {
    void SetUp() override
    {
        before = shim_alloc_in_use();
        w = mm_world_create();
    }
    void TearDown() override
    {
        EXPECT_STREQ(mm_world_check(w), nullptr);
        EXPECT_EQ(mm_world_destroy(w), 0);
        EXPECT_EQ(shim_alloc_in_use(), before);
    }
    int64_t Fixed(uint64_t page, uint64_t pages, unsigned prot = kReadWrite)
    {
        return mm_world_map(w, page, pages, prot, MAP_FIXED);
    }
    mm_world *w;
    size_t before;
};

TEST_F(Mm, PlacesGrowDownFromTheTopAndJoin)
{
    int64_t first = mm_world_map(w, 0, 4, kReadWrite, 0);
    EXPECT_EQ(first, (WORLD_END_PAGE - 4) * 4096);
    EXPECT_EQ(mm_world_map(w, 0, 2, kReadWrite, 0), first - 2 * 4096);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
    EXPECT_EQ(mm_world_map(w, 0, 1, kRead, 0), first - 3 * 4096);
    EXPECT_EQ(mm_world_vma_count(w), 2u);
}

TEST_F(Mm, HolesAreFilledFromTheHighestThatFits)
{
    ASSERT_GT(Fixed(WORLD_FIRST_PAGE, WORLD_END_PAGE - WORLD_FIRST_PAGE), 0);
    ASSERT_EQ(mm_world_unmap(w, 100, 8), 0);
    ASSERT_EQ(mm_world_unmap(w, 200, 4), 0);
    ASSERT_EQ(mm_world_unmap(w, 300, 2), 0);
    EXPECT_EQ(mm_world_map(w, 0, 9, kRead, 0), -ENOMEM);
    EXPECT_EQ(mm_world_map(w, 0, 3, kRead, 0), 201 * 4096);
    EXPECT_EQ(mm_world_map(w, 0, 3, kRead, 0), 105 * 4096);
    EXPECT_EQ(mm_world_map(w, 0, 2, kRead, 0), 300 * 4096);
    EXPECT_EQ(mm_world_map(w, 0, 5, kRead, 0), 100 * 4096);
    EXPECT_EQ(mm_world_map(w, 0, 2, kRead, 0), -ENOMEM);
}

TEST_F(Mm, UnmapInTheMiddleCutsAndRemappingJoinsAgain)
{
    ASSERT_GT(Fixed(100, 10), 0);
    ASSERT_EQ(mm_world_unmap(w, 104, 2), 0);
    EXPECT_EQ(mm_world_vma_count(w), 2u);
    ASSERT_GT(Fixed(104, 2), 0);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
}

TEST_F(Mm, ProtectCutsAndJoins)
{
    ASSERT_GT(Fixed(100, 10), 0);
    ASSERT_EQ(mm_world_protect(w, 103, 3, kRead), 0);
    EXPECT_EQ(mm_world_vma_count(w), 3u);
    ASSERT_EQ(mm_world_protect(w, 100, 10, kRead), 0);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
    ASSERT_EQ(mm_world_protect(w, 100, 1, 0), 0);
    ASSERT_EQ(mm_world_protect(w, 101, 1, 0), 0);
    EXPECT_EQ(mm_world_vma_count(w), 2u);
}

TEST_F(Mm, ProtectAcrossAHoleChangesWhatLiesBeforeIt)
{
    ASSERT_GT(Fixed(100, 4), 0);
    ASSERT_GT(Fixed(106, 4), 0);
    EXPECT_EQ(mm_world_protect(w, 102, 8, kExec), -ENOMEM);
    EXPECT_EQ(mm_world_vma_count(w), 3u);
}

TEST_F(Mm, FixedNoReplaceRefusesWhatIsThere)
{
    ASSERT_GT(Fixed(100, 4), 0);
    EXPECT_EQ(mm_world_map(w, 103, 2, kRead, MAP_FIXED_NOREPLACE), -EEXIST);
    EXPECT_EQ(mm_world_map(w, 104, 2, kRead, MAP_FIXED_NOREPLACE), 104 * 4096);
}

TEST_F(Mm, RangesOutsideOfTheGuestAreRefused)
{
    EXPECT_EQ(Fixed(1, 1), -EPERM);
    EXPECT_EQ(Fixed(WORLD_END_PAGE - 1, 2), -ENOMEM);
    EXPECT_EQ(Fixed(WORLD_END_PAGE, 1), -ENOMEM);
    EXPECT_EQ(mm_world_map(w, 0, ~0ull / 4096, kRead, 0), -ENOMEM);
    EXPECT_EQ(mm_world_map(w, 0, 0, kRead, 0), -EINVAL);
    EXPECT_EQ(mm_world_unmap(w, WORLD_END_PAGE, 1), -EINVAL);
    EXPECT_EQ(mm_world_unmap(w, 1, 2), 0);
}

TEST_F(Mm, BrkGrowsShrinksAndStopsAtAMapping)
{
    mm_world_set_brk_start(w, 200);
    EXPECT_EQ(mm_world_brk(w, 0), 200 * 4096u);
    EXPECT_EQ(mm_world_brk(w, 203 * 4096 + 5), 203 * 4096u + 5);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
    EXPECT_EQ(mm_world_brk(w, 210 * 4096), 210 * 4096u);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
    ASSERT_GT(Fixed(212, 1), 0);
    EXPECT_EQ(mm_world_brk(w, 213 * 4096), 210 * 4096u);
    EXPECT_EQ(mm_world_brk(w, 200 * 4096), 200 * 4096u);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
    EXPECT_EQ(mm_world_brk(w, 199 * 4096), 200 * 4096u);
}

TEST_F(Mm, RemapShrinksGrowsInPlaceAndMoves)
{
    ASSERT_GT(Fixed(100, 4), 0);
    EXPECT_EQ(mm_world_remap(w, 100, 4, 2, 0, 0), 100 * 4096);
    EXPECT_EQ(mm_world_remap(w, 100, 2, 6, 0, 0), 100 * 4096);
    ASSERT_GT(Fixed(106, 1, kRead), 0);
    EXPECT_EQ(mm_world_remap(w, 100, 6, 7, 0, 0), -ENOMEM);
    int64_t moved = mm_world_remap(w, 100, 6, 8, MREMAP_MAYMOVE, 0);
    EXPECT_EQ(moved, (WORLD_END_PAGE - 8) * 4096);
    EXPECT_EQ(mm_world_remap(w, moved / 4096, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, 105),
              105 * 4096);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
    EXPECT_EQ(mm_world_remap(w, 105, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, 106), -EINVAL);
    EXPECT_EQ(mm_world_remap(w, 105, 9, 10, MREMAP_MAYMOVE, 0), -EFAULT);
    EXPECT_EQ(mm_world_remap(w, 50, 1, 2, MREMAP_MAYMOVE, 0), -EFAULT);
}

TEST_F(Mm, RemapOfNothingDuplicatesASharedMapping)
{
    ASSERT_GT(mm_world_map_shared(w, 100, 4, kReadWrite), 0);
    EXPECT_EQ(mm_world_remap(w, 101, 0, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 300), 300 * 4096);
    EXPECT_EQ(mm_world_remap(w, 100, 0, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 102), 102 * 4096);
    ASSERT_GT(Fixed(200, 1), 0);
    EXPECT_EQ(mm_world_remap(w, 200, 0, 1, MREMAP_MAYMOVE, 0), -EINVAL);
}

TEST_F(Mm, AStackGrowsOnAFaultUpToItsLimitAndKeepsAGap)
{
    ASSERT_GT(mm_world_map(w, 3000, 2, kReadWrite, MAP_FIXED | MAP_GROWSDOWN), 0);
    mm_world_set_stack_limit(512 * 4096);
    EXPECT_EQ(mm_world_fault(w, 2990, 1), 1);
    EXPECT_EQ(mm_world_fault(w, 2495, 1), 1);
    EXPECT_EQ(mm_world_fault(w, 2489, 1), 0);
    mm_world_set_stack_limit(~0ull);
    ASSERT_GT(Fixed(2200, 1), 0);
    EXPECT_EQ(mm_world_fault(w, 2201 + 256, 1), 1);
    EXPECT_EQ(mm_world_fault(w, 2201 + 255, 1), 0);
    EXPECT_EQ(mm_world_fault(w, 2100, 1), 0);
    /* and nothing is placed in the gap below it */
    ASSERT_GT(Fixed(3002, WORLD_END_PAGE - 3002), 0);
    EXPECT_EQ(mm_world_map(w, 0, 1, kRead, 0), 2199 * 4096);
}

TEST_F(Mm, AdviceAboutForkIsKeptByTheVmas)
{
    ASSERT_GT(Fixed(100, 10), 0);
    EXPECT_EQ(mm_world_advise(w, 103, 2, MADV_DONTFORK), 0);
    EXPECT_EQ(mm_world_vma_count(w), 3u);
    EXPECT_EQ(mm_world_fork(w), 1);
    EXPECT_EQ(mm_world_advise(w, 103, 2, MADV_DOFORK), 0);
    EXPECT_EQ(mm_world_vma_count(w), 1u);
    EXPECT_EQ(mm_world_advise(w, 108, 4, MADV_NORMAL), -ENOMEM);
    EXPECT_EQ(mm_world_advise(w, 100, 1, 12345), -EINVAL);
    ASSERT_GT(mm_world_map_shared(w, 300, 2, kReadWrite), 0);
    EXPECT_EQ(mm_world_advise(w, 300, 1, MADV_WIPEONFORK), -EINVAL);
}

/* Random operations; after each one VMAs and platform must agree, also when a platform call fails
 * in the middle. */
void RandomOperations(mm_world *w, unsigned seed, bool failures)
{
    std::mt19937 random(seed);
    for (int i = 0; i < 3000; i++) {
        uint64_t page = WORLD_FIRST_PAGE + random() % 400, pages = 1 + random() % 40;
        uint64_t to = WORLD_FIRST_PAGE + random() % 400;
        unsigned prot = random() % 8;
        mm_world_fail_call(w, failures && random() % 4 == 0 ? 1 + random() % 2 : 0);
        unsigned what = random() % 9;
        switch (what) {
        case 0:
            (void)mm_world_map(w, page, pages, prot, MAP_FIXED);
            break;
        case 1:
            (void)mm_world_map(w, page, pages, prot, 0);
            break;
        case 2:
            (void)mm_world_map_shared(w, page, pages, prot);
            break;
        case 3:
            (void)mm_world_unmap(w, page, pages);
            break;
        case 4:
        case 5:
            (void)mm_world_protect(w, page, pages, prot);
            break;
        case 6:
            (void)mm_world_remap(w, page, 1 + random() % 8, pages, random() % 4, to);
            break;
        case 7:
            (void)mm_world_advise(w, page, pages, random() % 2 ? MADV_DONTFORK : MADV_DOFORK);
            break;
        case 8:
            if (i % 16 == 0) {
                ASSERT_NE(mm_world_fork(w), 0);
            }
            break;
        }
        ASSERT_STREQ(mm_world_check(w), nullptr) << "operation " << i << ", kind " << what;
    }
    mm_world_fail_call(w, 0);
}

TEST_F(Mm, RandomOperationsKeepVmasAndPlatformInAgreement)
{
    RandomOperations(w, 7, false);
}

TEST_F(Mm, FailuresOfThePlatformKeepVmasAndPlatformInAgreement)
{
    RandomOperations(w, 11, true);
}

TEST_F(Mm, ManyVmasStayFast)
{
    for (unsigned page = WORLD_FIRST_PAGE; page + 1 < WORLD_END_PAGE; page += 2)
        ASSERT_GT(mm_world_map(w, page, 1, page % 4 ? kRead : kReadWrite, MAP_FIXED), 0);
    EXPECT_EQ(mm_world_vma_count(w), (WORLD_END_PAGE - WORLD_FIRST_PAGE) / 2);
    EXPECT_EQ(mm_world_fork(w), 1);
}

TEST_F(Mm, AFailedForkLeavesNothingBehind)
{
    ASSERT_GT(mm_world_map_shared(w, 100, 4, kReadWrite), 0);
    size_t in_use = shim_alloc_in_use();
    mm_world_fail_call(w, 1);
    EXPECT_EQ(mm_world_fork(w), -EAGAIN);
    EXPECT_EQ(shim_alloc_in_use(), in_use);
}
} // namespace
