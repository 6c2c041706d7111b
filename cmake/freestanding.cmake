# Code that runs while guest registers are live: no libc, no TLS, no vector or x87 registers. The same sources are
# compiled into every platform's image.
add_library(palimpsest_freestanding_code INTERFACE)
target_link_libraries(palimpsest_freestanding_code INTERFACE palimpsest_warnings)
target_compile_options(palimpsest_freestanding_code INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-ffreestanding -mgeneral-regs-only -fno-stack-protector -fcf-protection=none
  -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common
  $<$<C_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>
  -Wframe-larger-than=4096>)
target_compile_definitions(palimpsest_freestanding_code INTERFACE _FORTIFY_SOURCE=0)
# Headers instead of libc's, for code that libc's headers would pull in (uthash).
target_include_directories(palimpsest_freestanding_code BEFORE INTERFACE ${PROJECT_SOURCE_DIR}/shim/base/include)

# In host processes it is position-independent.
add_library(palimpsest_freestanding INTERFACE)
target_link_libraries(palimpsest_freestanding INTERFACE palimpsest_freestanding_code)
target_compile_options(palimpsest_freestanding INTERFACE -fPIE)
