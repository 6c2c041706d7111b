# The decoder half of Zydis (MIT licence), built like the shim: no libc, no vector registers. Its source comes from Debian
# (scripts/fetch-zydis), as the library that Debian builds needs libc; Zycore's headers are those of libzycore-dev.
set(PALIMPSEST_ZYDIS_DIR ${PROJECT_SOURCE_DIR}/third_party/zydis CACHE PATH "Source of Zydis 4.0; fetched when it is the default")
if(PALIMPSEST_ZYDIS_DIR STREQUAL ${PROJECT_SOURCE_DIR}/third_party/zydis AND NOT EXISTS ${PALIMPSEST_ZYDIS_DIR}/src/Decoder.c)
  message(STATUS "Fetching Zydis")
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/fetch-zydis COMMAND_ERROR_IS_FATAL ANY)
endif()
find_path(PALIMPSEST_ZYCORE_INCLUDE Zycore/Types.h REQUIRED)

add_library(palimpsest_zydis OBJECT
  ${PALIMPSEST_ZYDIS_DIR}/src/Decoder.c
  ${PALIMPSEST_ZYDIS_DIR}/src/DecoderData.c
  ${PALIMPSEST_ZYDIS_DIR}/src/SharedData.c)
# "Minimal": lengths and encodings, no operands: 140 KB instead of 1.5 MB.
target_compile_definitions(palimpsest_zydis PUBLIC
  ZYAN_NO_LIBC ZYDIS_STATIC_BUILD ZYCORE_STATIC_BUILD ZYDIS_MINIMAL_MODE ZYDIS_DISABLE_KNC
  ZYDIS_DISABLE_ENCODER ZYDIS_DISABLE_FORMATTER ZYDIS_DISABLE_SEGMENT)
target_include_directories(palimpsest_zydis SYSTEM PUBLIC ${PALIMPSEST_ZYDIS_DIR}/include ${PALIMPSEST_ZYCORE_INCLUDE})
target_include_directories(palimpsest_zydis PRIVATE ${PALIMPSEST_ZYDIS_DIR}/src)
target_compile_options(palimpsest_zydis PRIVATE
  -ffreestanding -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fPIE -w)
target_compile_definitions(palimpsest_zydis PRIVATE _FORTIFY_SOURCE=0)
set_target_properties(palimpsest_zydis PROPERTIES C_CLANG_TIDY "") # not ours
