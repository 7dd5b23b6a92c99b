# Every library the project stands on, as Debian 12 packages them.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS url json)
find_package(OpenSSL 3 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(simdjson REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(ZLIB REQUIRED)
# Debian's CMake package of libnats names files that it does not have; pkg-config knows better.
find_package(PkgConfig REQUIRED)
pkg_check_modules(nats REQUIRED IMPORTED_TARGET libnats>=3.4)
if(FRESNEL_BUILD_TESTS)
  find_package(GTest 1.12 REQUIRED)
endif()

# Asio and Beast are compiled once (asio.cpp, beast.cpp); their macros must be the same in every file.
add_library(fresnel_dependencies INTERFACE)
target_compile_definitions(fresnel_dependencies INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_BEAST_SEPARATE_COMPILATION)
target_link_libraries(fresnel_dependencies INTERFACE
  Boost::headers Boost::url Boost::json OpenSSL::SSL OpenSSL::Crypto CURL::libcurl simdjson::simdjson
  fmt::fmt spdlog::spdlog yaml-cpp prometheus-cpp::core ZLIB::ZLIB PkgConfig::nats Threads::Threads)
