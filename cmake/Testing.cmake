# How tests are made. A ctest named here is either one case of a layer's unit tests (label unit), or a whole program
# (label system, and kube when it starts a real kube-apiserver).
include(GoogleTest)

# What tests are compiled with: without optimisation, which would take half of their compile time in a release build and
# shows nothing, the code under test being compiled as it ships.
add_library(fresnel_test_options INTERFACE)
target_compile_options(fresnel_test_options INTERFACE $<$<CONFIG:Release>:-O0>)
target_link_libraries(fresnel_test_options INTERFACE fresnel_warnings)

# The first test program owns the tests' precompiled header, the others reuse it: GoogleTest's macro must be the same in
# those that do without it, too.
function(fresnel_precompile_test name)
  target_compile_definitions(${name} PRIVATE GTEST_HAS_PTHREAD=1)
  get_property(owner GLOBAL PROPERTY FRESNEL_PRECOMPILED_TEST)
  if(owner)
    target_precompile_headers(${name} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${name} PRIVATE ${FRESNEL_PRECOMPILED} <gmock/gmock.h> <gtest/gtest.h>)
    set_property(GLOBAL PROPERTY FRESNEL_PRECOMPILED_TEST ${name})
  endif()
endfunction()

# One test program a layer: fresnel/NAME/*_test.cpp -> NAME_test.
# The target unit_tests builds them all.
function(fresnel_layer_tests)
  add_custom_target(unit_tests)
  foreach(layer IN LISTS FRESNEL_LAYERS)
    file(GLOB tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fresnel/${layer}/*_test.cpp)
    if(tests)
      add_executable(${layer}_test ${tests})
      target_link_libraries(${layer}_test PRIVATE fresnel_${layer}_link fresnel_test_options GTest::gmock_main)
      fresnel_precompile_test(${layer}_test)
      add_dependencies(unit_tests ${layer}_test)
      gtest_discover_tests(${layer}_test DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit TIMEOUT 120)
    endif()
  endforeach()
endfunction()

# fresnel_system_test(NAME SOURCES a.cpp ... [KUBE] [TIMEOUT seconds] [STANDALONE])
# A program of GoogleTest cases against libfresnel, tests/support and the `fresnel` binary (macro FRESNEL_BINARY), run
# as one ctest so that its cases can share a server. KUBE: it uses the real kube-apiserver; those run one at a time.
# STANDALONE: it needs only the base layer, and not the binary.
function(fresnel_system_test name)
  cmake_parse_arguments(arg "KUBE;STANDALONE" "TIMEOUT" "SOURCES" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE fresnel_test_support fresnel_test_options GTest::gmock_main)
  fresnel_precompile_test(${name})
  if(arg_STANDALONE)
    target_link_libraries(${name} PRIVATE fresnel_base_link)
  else()
    target_link_libraries(${name} PRIVATE libfresnel)
    add_dependencies(${name} fresnel)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS system TIMEOUT ${arg_TIMEOUT})
  if(arg_KUBE)
    set_tests_properties(${name} PROPERTIES LABELS "system;kube" RESOURCE_LOCK kube_apiserver)
  endif()
endfunction()

# fresnel_bench: the benchmarks of every layer, fresnel/*/*_bench.cpp, with Google Benchmark. Built when asked for.
function(fresnel_benchmarks)
  find_package(benchmark 1.7 QUIET)
  if(NOT benchmark_FOUND)
    return()
  endif()
  file(GLOB benches CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fresnel/*/*_bench.cpp)
  add_executable(fresnel_bench EXCLUDE_FROM_ALL ${benches})
  target_link_libraries(fresnel_bench PRIVATE libfresnel fresnel_warnings benchmark::benchmark_main)
endfunction()
