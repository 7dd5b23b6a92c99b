# Installs into a folder of its own, builds the consumer against it, runs both.
# Given: BUILD (the build folder), CONSUMER (its sources), WORK (a folder to use), CXX, LAUNCHER, GENERATOR.
function(run)
  cmake_parse_arguments(arg "" "EXPECT" "COMMAND" ${ARGN})
  execute_process(COMMAND ${arg_COMMAND} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${arg_COMMAND}\nended with ${status}:\n${output}")
  endif()
  if(arg_EXPECT AND NOT output MATCHES "${arg_EXPECT}")
    message(FATAL_ERROR "${arg_COMMAND}\nwas to print \"${arg_EXPECT}\" and printed:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(COMMAND ${WORK}/prefix/bin/fresnel --help EXPECT "watch")
run(COMMAND ${CMAKE_COMMAND} -S ${CONSUMER} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_CXX_FLAGS_RELEASE=-O0 -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_CXX_COMPILER=${CXX}
  -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
run(COMMAND ${CMAKE_COMMAND} --build ${WORK}/build)

file(WRITE ${WORK}/kubeconfig "apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://one.example:6443'}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: first, context: {cluster: c, user: u}}]
")
set(ENV{KUBECONFIG} ${WORK}/kubeconfig)
run(COMMAND ${WORK}/build/list_contexts EXPECT "first https://one.example:6443\nevent of web at 7\n")
file(REMOVE_RECURSE ${WORK})
