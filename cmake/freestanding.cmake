# Code that runs while guest registers are live: no libc, no TLS, no vector or x87 registers. The same sources are
# compiled into every platform's image.
add_library(palimpsest_freestanding INTERFACE)
target_link_libraries(palimpsest_freestanding INTERFACE palimpsest_warnings)
target_compile_options(palimpsest_freestanding INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-ffreestanding -mgeneral-regs-only -fno-stack-protector -fcf-protection=none
  -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common
  $<$<C_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>
  -Wframe-larger-than=4096>
  -fPIE)
target_compile_definitions(palimpsest_freestanding INTERFACE _FORTIFY_SOURCE=0)
# Headers instead of libc's, for code that libc's headers would pull in (uthash).
target_include_directories(palimpsest_freestanding BEFORE INTERFACE ${PROJECT_SOURCE_DIR}/shim/base/include)
