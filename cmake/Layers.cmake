# fresnel_layer(NAME DEPS ...) makes fresnel/NAME/*.cpp an object library. fresnel_NAME compiles the layer's objects;
# fresnel_NAME_link carries them and those of every layer below it.
add_library(fresnel_warnings INTERFACE)
target_compile_options(fresnel_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Werror
  # GCC 12 counts a designated initializer that leaves members at their defaults as an omission.
  -Wno-missing-field-initializers
  # GCC 12 with optimisation takes Asio's pair of frame allocation functions, inlined into a coroutine, for mismatched.
  $<$<CONFIG:Release>:-Wno-mismatched-new-delete>)
if(FRESNEL_SANITIZE)
  target_compile_options(fresnel_warnings INTERFACE -Wno-mismatched-new-delete)
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
