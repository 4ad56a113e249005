# The web page's files become part of the program: no file to install, none to lose.
file(GLOB web_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/gateways/web/*.html ${CMAKE_SOURCE_DIR}/gateways/web/*.css
     ${CMAKE_SOURCE_DIR}/gateways/web/*.js)
list(JOIN web_files "|" web_list)
set(web_assets ${CMAKE_CURRENT_BINARY_DIR}/web_assets.cpp)
add_custom_command(
  OUTPUT ${web_assets}
  COMMAND ${CMAKE_COMMAND} -DOUT=${web_assets} "-DFILES=${web_list}" -P ${CMAKE_SOURCE_DIR}/gateways/web/embed.cmake
  DEPENDS ${web_files} ${CMAKE_SOURCE_DIR}/gateways/web/embed.cmake
  COMMENT "embedding the web page"
  VERBATIM)
target_sources(horizons_gateways PRIVATE ${web_assets})
