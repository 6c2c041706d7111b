# One interface target carries the warnings of the project's own code.
add_library(palimpsest_warnings INTERFACE)
target_compile_options(palimpsest_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wcast-qual -Wwrite-strings
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wvla>
  $<$<BOOL:${PALIMPSEST_WERROR}>:-Werror>)
target_include_directories(palimpsest_warnings INTERFACE ${PROJECT_SOURCE_DIR})
if(PALIMPSEST_ANALYZER)
  target_compile_options(palimpsest_warnings INTERFACE $<$<COMPILE_LANGUAGE:C>:-fanalyzer>)
endif()
