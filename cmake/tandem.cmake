# How every part of the house is compiled. A module is one static library, so that a test over its object files can
# check what it calls (tests/lint/arrows.py).

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

option(TANDEM_WERROR "Warnings are errors" OFF)
set(TANDEM_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined")
option(TANDEM_FUZZ "Build the libFuzzer targets (clang)" OFF)

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
                    -Wno-sign-conversion -fno-common)
if(TANDEM_WERROR)
  add_compile_options(-Werror)
endif()
if(TANDEM_SANITIZE)
  add_compile_options(-fsanitize=${TANDEM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TANDEM_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  # All symbols are bound at the start, so that nothing needs the detour over the linkage table.
  add_compile_options(-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fPIE -fno-plt)
  add_link_options(-pie -Wl,-z,relro,-z,now)
  # Each message passes through a hundred small functions of several files: the node is optimised as a whole there.
  add_link_options($<IF:$<STREQUAL:$<TARGET_PROPERTY:NAME>,tandemd>,-flto=auto,-fno-lto>)
endif()

# tandem_module(NAME [ADAPTER] [WHOLE] SOURCES a.c ... LINK other ...)
# A pure module is strict C11, which keeps POSIX out by itself; an ADAPTER does I/O and gets _GNU_SOURCE. WHOLE: every
# message passes through it; it takes part in the optimisation at link time.
function(tandem_module name)
  cmake_parse_arguments(ARG "ADAPTER;WHOLE" "" "SOURCES;LINK" ${ARGN})
  add_library(tandem_${name} STATIC ${ARG_SOURCES})
  target_include_directories(tandem_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(tandem_${name} PUBLIC ${ARG_LINK})
  if(ARG_WHOLE AND CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(tandem_${name} PRIVATE -flto -ffat-lto-objects)
  endif()
  if(ARG_ADAPTER)
    target_compile_definitions(tandem_${name} PRIVATE _GNU_SOURCE)
  endif()
endfunction()

# tandem_unit(MODULE NAME [LINK other ...]): tests/unit/MODULE/test_NAME.c, linked with tandem_MODULE and what it declares.
function(tandem_unit module name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(test_${module}_${name} test_${name}.c)
  target_compile_definitions(test_${module}_${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(test_${module}_${name} PRIVATE tandem_${module} PkgConfig::CMOCKA ${ARG_LINK})
  add_test(NAME unit/${module}/${name} COMMAND test_${module}_${name})
  set_tests_properties(unit/${module}/${name} PROPERTIES TIMEOUT 120)
endfunction()

# tandem_fuzz(NAME MODULE ...): tests/fuzz/fuzz_NAME.c defines LLVMFuzzerTestOneInput. With TANDEM_FUZZ it is a libFuzzer
# target; otherwise tests/fuzz/replay.c drives it over its corpus (tests/fuzz/corpus/NAME) as an ordinary test.
function(tandem_fuzz name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(fuzz_${name} fuzz_${name}.c)
  target_compile_definitions(fuzz_${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LINK})
  if(TANDEM_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE replay.c)
    add_test(NAME fuzz/${name} COMMAND fuzz_${name} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
    set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 120)
  endif()
endfunction()
