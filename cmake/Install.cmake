# cmake --install: the program, libfresnel with its public headers, and find_package(fresnel).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS fresnel RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS libfresnel fresnel_dependencies EXPORT fresnel-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

foreach(layer IN LISTS FRESNEL_LIBRARY_LAYERS)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/fresnel/${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fresnel
    FILES_MATCHING PATTERN "*.hpp" PATTERN "*testing*" EXCLUDE)
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fresnel)
install(EXPORT fresnel-targets NAMESPACE fresnel:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/fresnel-config.cmake.in
  ${PROJECT_BINARY_DIR}/fresnel-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fresnel-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fresnel-config.cmake ${PROJECT_BINARY_DIR}/fresnel-config-version.cmake
  DESTINATION ${package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
