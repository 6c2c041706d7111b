#include <gtest/gtest.h>
#include <elf.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

extern "C" {
#include "shim/elf_load.h"
}

namespace
{
constexpr uint64_t kLimit = 0x7e0000000000;

/* A small valid program: text, then data with bss. */
struct Image {
    Elf64_Ehdr header{};
    std::vector<Elf64_Phdr> segments;
    uint64_t file_size = 0x3000;
    elf_plan plan{};
    const char *why = nullptr;

    Image()
    {
        memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_type = ET_EXEC;
        header.e_machine = EM_X86_64;
        header.e_entry = 0x401000;
        header.e_phoff = sizeof(header);
        header.e_phentsize = sizeof(Elf64_Phdr);
        Add(PF_R | PF_X, 0, 0x400000, 0x1800, 0x1800);
        Add(PF_R | PF_W, 0x1e00, 0x402e00, 0x400, 0x3000);
    }
    void Add(uint32_t flags, uint64_t offset, uint64_t addr, uint64_t file, uint64_t memory,
             uint32_t type = PT_LOAD)
    {
        Elf64_Phdr ph{};
        ph.p_type = type;
        ph.p_flags = flags;
        ph.p_offset = offset;
        ph.p_vaddr = addr;
        ph.p_filesz = file;
        ph.p_memsz = memory;
        ph.p_align = 0x1000;
        segments.push_back(ph);
    }
    int Load(size_t bytes = sizeof(Elf64_Ehdr))
    {
        header.e_phnum = static_cast<uint16_t>(segments.size());
        elf_headers headers;
        int err = elf_check_header(&header, bytes, file_size, &headers, &why);
        return err ? err : elf_make_plan(&headers, segments.data(), file_size, kLimit, &plan, &why);
    }
};

TEST(ElfLoad, PlansSegmentsInWholePagesWithTheirZeros)
{
    Image image;
    ASSERT_EQ(image.Load(), 0);
    ASSERT_EQ(image.plan.segment_count, 2u);
    EXPECT_EQ(image.plan.headers_addr, 0x400040u);
    EXPECT_EQ(image.plan.low, 0x400000u);
    EXPECT_EQ(image.plan.high, 0x406000u);
    const elf_segment &text = image.plan.segments[0], &data = image.plan.segments[1];
    EXPECT_EQ(text.map_end, 0x402000u);
    EXPECT_EQ(text.zero_start, text.file_end);
    EXPECT_EQ(text.prot, 5u /* MEMORY_READ | MEMORY_EXEC */);
    EXPECT_EQ(data.map_start, 0x402000u);
    EXPECT_EQ(data.file_offset, 0x1000u);
    EXPECT_EQ(data.zero_start, 0x403200u);
    EXPECT_EQ(data.file_end, 0x404000u);
    EXPECT_EQ(data.map_end, 0x406000u);
    EXPECT_FALSE(image.plan.executable_stack);
}

TEST(ElfLoad, ZerosThatStartInThePreviousPageKeepThatPage)
{
    Image image;
    image.segments.pop_back();
    image.Add(PF_R | PF_W, 0x1800, 0x401800, 0, 0x2000);
    ASSERT_EQ(image.Load(), 0);
    EXPECT_EQ(image.plan.segments[1].map_start, 0x402000u);
    EXPECT_EQ(image.plan.segments[1].file_end, 0x402000u);
    EXPECT_EQ(image.plan.segments[1].map_end, 0x404000u);
}

struct Bad {
    const char *name;
    void (*change)(Image &);
    int err;
    const char *why;
};
std::ostream &operator<<(std::ostream &out, const Bad &bad)
{
    return out << bad.name;
}
class ElfLoadRefuses : public testing::TestWithParam<Bad>
{
};

TEST_P(ElfLoadRefuses, WithAReason)
{
    Image image;
    GetParam().change(image);
    EXPECT_EQ(image.Load(), GetParam().err);
    ASSERT_NE(image.why, nullptr);
    EXPECT_NE(std::string(image.why).find(GetParam().why), std::string::npos) << image.why;
}

const Bad kBad[] = {
    {"NoMagic", [](Image &i) { i.header.e_ident[0] = 'x'; }, -ENOEXEC, "not an ELF"},
    {"Class32", [](Image &i) { i.header.e_ident[EI_CLASS] = ELFCLASS32; }, -ENOEXEC, "32-bit"},
    {"BigEndian", [](Image &i) { i.header.e_ident[EI_DATA] = ELFDATA2MSB; }, -ENOEXEC,
     "big-endian"},
    {"Aarch64", [](Image &i) { i.header.e_machine = EM_AARCH64; }, -ENOEXEC, "aarch64"},
    {"ObjectFile", [](Image &i) { i.header.e_type = ET_REL; }, -ENOEXEC, "object file"},
    {"CoreDump", [](Image &i) { i.header.e_type = ET_CORE; }, -ENOEXEC, "core dump"},
    {"HeaderSize", [](Image &i) { i.header.e_phentsize = 32; }, -ENOEXEC, "wrong size"},
    {"NoHeaders", [](Image &i) { i.segments.clear(); }, -ENOEXEC, "without program headers"},
    {"HeadersPastTheEnd", [](Image &i) { i.header.e_phoff = i.file_size - 8; }, -ENOEXEC,
     "outside of the file"},
    {"HeadersWrap", [](Image &i) { i.header.e_phoff = ~0ull - 8; }, -ENOEXEC,
     "outside of the file"},
    {"Truncated", [](Image &i) { i.file_size = 0x1e10; }, -ENOEXEC, "truncated"},
    {"TruncatedHeader", [](Image &i) { i.file_size = 40; }, -ENOEXEC, "truncated"},
    {"OffsetWraps", [](Image &i) { i.segments[1].p_offset = ~0ull - 0x1ff; }, -ENOEXEC,
     "truncated"},
    {"FileMoreThanMemory", [](Image &i) { i.segments[0].p_memsz = 1; }, -EINVAL,
     "more bytes in the file"},
    {"Misaligned", [](Image &i) { i.segments[1].p_vaddr++; }, -EINVAL, "not aligned"},
    {"Huge", [](Image &i) { i.segments[1].p_memsz = ~0ull; }, -ENOMEM, "too big"},
    {"PastTheLimit", [](Image &i) { i.segments[1].p_vaddr = kLimit - 0x200; }, -ENOMEM, "outside"},
    {"AddressWraps", [](Image &i) { i.segments[1].p_vaddr = ~0ull - 0x1ff; }, -ENOMEM, "outside"},
    {"Overlap", [](Image &i) { i.segments[1].p_vaddr = 0x400e00; }, -ENOEXEC, "overlap"},
    {"OutOfOrder", [](Image &i) { std::swap(i.segments[0], i.segments[1]); }, -ENOEXEC,
     "out of order"},
    {"NothingToLoad", [](Image &i) { i.segments[0].p_type = i.segments[1].p_type = PT_NOTE; },
     -ENOEXEC, "nothing to load"},
    {"Alignment", [](Image &i) { i.segments[0].p_align = 1ull << 63; }, -ENOMEM, "alignment"},
    {"InterpreterOutside", [](Image &i) { i.Add(PF_R, 0x3000, 0, 20, 20, PT_INTERP); }, -ENOEXEC,
     "interpreter"},
    {"InterpreterEmpty", [](Image &i) { i.Add(PF_R, 0x100, 0, 1, 1, PT_INTERP); }, -ENOEXEC,
     "interpreter"},
    {"TooManySegments",
     [](Image &i) {
         for (unsigned n = 0; n < ELF_MAX_SEGMENTS; n++)
             i.Add(PF_R, 0, 0x500000 + n * 0x1000, 16, 16);
     },
     -ENOEXEC, "too many"},
};
INSTANTIATE_TEST_SUITE_P(Each, ElfLoadRefuses, testing::ValuesIn(kBad),
                         [](const auto &test) { return std::string(test.param.name); });

TEST(ElfLoad, AShortReadOfTheHeaderIsATruncatedFile)
{
    Image image;
    for (size_t bytes = 0; bytes < sizeof(Elf64_Ehdr); bytes++) {
        EXPECT_EQ(image.Load(bytes), -ENOEXEC);
        EXPECT_NE(image.why, nullptr);
    }
}

TEST(ElfLoad, InterpreterMustBeAString)
{
    const char *why = nullptr;
    EXPECT_EQ(elf_check_interpreter("/lib/ld.so", 11, &why), 0);
    EXPECT_EQ(elf_check_interpreter("/lib/ld.so", 10, &why), -ENOEXEC);
    EXPECT_EQ(elf_check_interpreter("\0\0", 2, &why), -ENOEXEC);
}
} // namespace
