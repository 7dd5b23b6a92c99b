# fresnel_layer(NAME DEPS ...) makes fresnel/NAME/*.cpp an object library. fresnel_NAME compiles the layer's objects;
# fresnel_NAME_link carries them and those of every layer below it.

# GCC 12 with optimisation takes Asio's pair of frame allocation functions, inlined into a coroutine, for mismatched, and
# does not see in a precompiled <string> that what it warns of is the library's own code, where it is mistaken.
set(FRESNEL_MISTAKEN_WARNINGS -Wno-mismatched-new-delete -Wno-array-bounds -Wno-stringop-overread -Wno-stringop-overflow
  -Wno-restrict)
add_library(fresnel_warnings INTERFACE)
target_compile_options(fresnel_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Werror
  # GCC 12 counts a designated initializer that leaves members at their defaults as an omission.
  -Wno-missing-field-initializers
  "$<$<CONFIG:Release>:${FRESNEL_MISTAKEN_WARNINGS}>")
if(FRESNEL_SANITIZE)
  target_compile_options(fresnel_warnings INTERFACE ${FRESNEL_MISTAKEN_WARNINGS})
  add_compile_options(-fsanitize=${FRESNEL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FRESNEL_SANITIZE})
  # The sanitizers' own branches keep GCC from seeing that a variant's other alternative is not read.
  add_compile_options(-Wno-maybe-uninitialized)
  if(FRESNEL_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(FRESNEL_SANITIZE MATCHES thread)
    add_compile_options(-Wno-tsan)
  endif()
endif()

# GCC collects its garbage early and often by default; a tenth of the compile time is that. Memory: up to 1 GB a process,
# which the largest files take anyway.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options("SHELL:--param ggc-min-expand=200" "SHELL:--param ggc-min-heapsize=1000000")
endif()

# What most files include and the compiler takes seconds to read, read once for each preset. Every target that shares
# a precompiled header has the same flags. A file must still include what it uses: clang-tidy reads it without.
set(FRESNEL_PRECOMPILED
  <algorithm> <array> <chrono> <functional> <map> <memory> <optional> <span> <string> <string_view> <unordered_map>
  <variant> <vector>
  <boost/asio/as_tuple.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/detached.hpp>
  <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp> <boost/asio/post.hpp> <boost/asio/steady_timer.hpp>
  <boost/asio/use_awaitable.hpp> <boost/beast/core/tcp_stream.hpp> <boost/beast/http/message.hpp>
  <boost/beast/http/string_body.hpp> <boost/json.hpp> <fmt/format.h> <spdlog/spdlog.h>)

# These do without: Asio's and Beast's own implementation, and <linux/tcp.h> besides <netinet/tcp.h>.
set_source_files_properties(fresnel/base/asio.cpp fresnel/net/beast.cpp fresnel/net/tcp_progress.cpp
  PROPERTIES SKIP_PRECOMPILE_HEADERS ON)

# Owns the layers' precompiled header. (A layer that owned it would hand it to the linker among its objects.)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cpp CONTENT "")
add_library(fresnel_precompiled OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
target_link_libraries(fresnel_precompiled PRIVATE fresnel_dependencies fresnel_warnings)
target_precompile_headers(fresnel_precompiled PRIVATE ${FRESNEL_PRECOMPILED})

function(fresnel_layer name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fresnel/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
  list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/fresnel/${name}/main.cpp)
  if(NOT sources)
    message(FATAL_ERROR "layer ${name} has no sources in fresnel/${name}")
  endif()
  add_library(fresnel_${name} OBJECT ${sources})
  target_include_directories(fresnel_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_link_libraries(fresnel_${name} PUBLIC fresnel_dependencies PRIVATE fresnel_warnings)
  target_precompile_headers(fresnel_${name} REUSE_FROM fresnel_precompiled)

  set(below "")
  foreach(dep IN LISTS arg_DEPS)
    list(APPEND below ${dep} ${FRESNEL_BELOW_${dep}})
  endforeach()
  list(REMOVE_DUPLICATES below)
  set(FRESNEL_BELOW_${name} ${below} PARENT_SCOPE)
  add_library(fresnel_${name}_link INTERFACE)
  foreach(layer IN LISTS below ITEMS ${name})
    target_link_libraries(fresnel_${name}_link INTERFACE fresnel_${layer} $<TARGET_OBJECTS:fresnel_${layer}>)
  endforeach()
  set(FRESNEL_LAYERS ${FRESNEL_LAYERS} ${name} PARENT_SCOPE)
endfunction()

# libfresnel: every layer declared so far (all but cli).
function(fresnel_library)
  set(objects "")
  foreach(layer IN LISTS FRESNEL_LAYERS)
    list(APPEND objects $<TARGET_OBJECTS:fresnel_${layer}>)
  endforeach()
  add_library(libfresnel STATIC ${objects})
  set_target_properties(libfresnel PROPERTIES OUTPUT_NAME fresnel EXPORT_NAME fresnel LINKER_LANGUAGE CXX)
  target_include_directories(libfresnel INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include>)
  target_compile_features(libfresnel INTERFACE cxx_std_20)
  target_link_libraries(libfresnel PUBLIC fresnel_dependencies)
  add_library(fresnel::fresnel ALIAS libfresnel)
  set(FRESNEL_LIBRARY_LAYERS ${FRESNEL_LAYERS} PARENT_SCOPE)
endfunction()
