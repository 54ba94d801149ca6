# Headers that nearly every file reads, parsed once for many files: half of the time that a build takes.
#
# AGENTRUNTIME_PRECOMPILE says for which files. In the release build that is tests/ only: there each file of the product reads its own headers, so that an include
# that it lacks is noticed, and so is a heavy header that it does not need (tests/lint).
set(AGENTRUNTIME_PRECOMPILE tests CACHE STRING "Precompiled headers for: none, tests, all")
set_property(CACHE AGENTRUNTIME_PRECOMPILE PROPERTY STRINGS none tests all)
if(NOT AGENTRUNTIME_PRECOMPILE MATCHES "^(none|tests|all)$")
  message(FATAL_ERROR "AGENTRUNTIME_PRECOMPILE is '${AGENTRUNTIME_PRECOMPILE}'; give none, tests or all")
endif()

# Kinds of files. Who includes Asio has to be linked with it, so it is apart.
set(plain_headers
  <algorithm> <array> <atomic> <cstdint> <cstring> <functional> <map> <memory> <optional> <set> <string> <string_view> <thread> <utility> <variant> <vector>
  <absl/container/flat_hash_map.h> <absl/functional/any_invocable.h> <absl/status/statusor.h> <absl/strings/cord.h> <absl/strings/match.h>
  <absl/strings/str_cat.h> <absl/strings/str_format.h> <absl/strings/str_join.h> <absl/strings/str_split.h> <absl/time/clock.h> <absl/time/time.h>
  <agentruntime/v1/agent.pb.h> <agentruntime/v1/event.pb.h> <agentruntime/v1/run.pb.h>)
set(async_headers ${plain_headers}
  <boost/asio/any_io_executor.hpp> <boost/asio/async_result.hpp> <boost/asio/awaitable.hpp> <boost/asio/post.hpp> <boost/asio/use_awaitable.hpp>)
set(test_headers ${async_headers} <boost/asio/co_spawn.hpp> <filesystem> <fstream> <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp>)

# One target a kind; the compiler takes the outcome only for files with the same options and definitions.
function(agentruntime_precompiled KIND)
  cmake_parse_arguments(ARG "" "" "HEADERS;LIBS;OPTIONS" ${ARGN})
  if(AGENTRUNTIME_PRECOMPILE STREQUAL none)
    return()
  endif()
  set(source ${CMAKE_BINARY_DIR}/precompiled.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "// A target has a source.\n")
  add_library(agentruntime_precompiled_${KIND} OBJECT EXCLUDE_FROM_ALL ${source})
  target_link_libraries(agentruntime_precompiled_${KIND} PRIVATE agentruntime::proto_util agentruntime::build_flags ${ARG_LIBS})
  # No time of day in it, or a compiler cache would never find what was compiled with it.
  target_compile_options(agentruntime_precompiled_${KIND} PRIVATE ${ARG_OPTIONS} -Xclang -fno-pch-timestamp)
  target_precompile_headers(agentruntime_precompiled_${KIND} PRIVATE ${ARG_HEADERS})
endfunction()

agentruntime_precompiled(plain HEADERS ${plain_headers})
agentruntime_precompiled(async HEADERS ${async_headers} LIBS agentruntime::asio)

# agentruntime_precompile(KIND TARGET...): the files of these targets use the headers of that kind, if this build precompiles them.
function(agentruntime_precompile KIND)
  set(tests ${PROJECT_SOURCE_DIR}/tests)
  cmake_path(IS_PREFIX tests ${CMAKE_CURRENT_SOURCE_DIR} is_test)
  if(AGENTRUNTIME_PRECOMPILE STREQUAL none OR (AGENTRUNTIME_PRECOMPILE STREQUAL tests AND NOT is_test))
    return()
  endif()
  foreach(target ${ARGN})
    target_precompile_headers(${target} REUSE_FROM agentruntime_precompiled_${KIND})
  endforeach()
endfunction()
