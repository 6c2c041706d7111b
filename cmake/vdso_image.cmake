# The guest's vDSO is a shared object of its own, linked first and then carried by the shim as bytes.
function(build_vdso_image source output)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_C_COMPILER} -nostdlib -shared -fPIC -s -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both
      -Wl,--eh-frame-hdr -Wl,-Bsymbolic -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack
      -Wl,-T,${source}/image.lds -o ${output} ${source}/image.S
    DEPENDS ${source}/image.S ${source}/image.lds VERBATIM)
  set_property(SOURCE ${source}/vdso.c APPEND PROPERTY COMPILE_DEFINITIONS "VDSO_IMAGE=\"${output}\"")
  set_property(SOURCE ${source}/vdso.c APPEND PROPERTY OBJECT_DEPENDS ${output})
endfunction()
