# Names of all system calls that the kernel's headers know, also of those the shim lacks: traces and --stats name them.
function(generate_syscall_names output)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/syscall_names.in.c "#include <asm/unistd_64.h>\n")
  execute_process(
    COMMAND ${CMAKE_C_COMPILER} -E -dM ${CMAKE_CURRENT_BINARY_DIR}/syscall_names.in.c
    OUTPUT_VARIABLE macros COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "#define __NR_[a-z0-9_]+ [0-9]+" lines "${macros}")
  set(entries "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "#define __NR_([a-z0-9_]+) ([0-9]+)" "    [\\2] = \"\\1\",\n" entry "${line}")
    string(APPEND entries "${entry}")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT
"/* Generated from asm/unistd_64.h. */
#include <stddef.h>

#include \"shim/trace.h\"

static const char *const k_names[] = {
@entries@};

const char *syscall_name(uint64_t number)
{
    return number < sizeof(k_names) / sizeof(k_names[0]) ? k_names[number] : NULL;
}
")
endfunction()
