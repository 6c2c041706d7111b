# The memory code, by include(): compiled into the ring-0 image, and into the host library of tests/kvm_host.
set(PALIMPSEST_KVM_MM_SOURCES
  ${CMAKE_CURRENT_LIST_DIR}/aspace.c
  ${CMAKE_CURRENT_LIST_DIR}/copy.c
  ${CMAKE_CURRENT_LIST_DIR}/fault.c
  ${CMAKE_CURRENT_LIST_DIR}/frame.c
  ${CMAKE_CURRENT_LIST_DIR}/mapping.c
  ${CMAKE_CURRENT_LIST_DIR}/memory.c
  ${CMAKE_CURRENT_LIST_DIR}/object.c
  ${CMAKE_CURRENT_LIST_DIR}/object_data.c
  ${CMAKE_CURRENT_LIST_DIR}/pagetable.c
  ${CMAKE_CURRENT_LIST_DIR}/pagetable_range.c
  ${CMAKE_CURRENT_LIST_DIR}/pool.c
  ${CMAKE_CURRENT_LIST_DIR}/tlb.c)
