# Adds the CUDA backend, or its replacement, to the library `sitewise`; see SITEWISE_CUDA.

file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cu)
if(SITEWISE_CUDA STREQUAL "HOST")  # a fiber for each CUDA thread, tests/cuda/hostexec
    set_source_files_properties(${cuda_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
    # Sanitizers watch the kernels, but not the scheduler.
    add_library(sitewise_hostexec OBJECT tests/cuda/hostexec/hostexec.cpp)
    if(SITEWISE_SANITIZE MATCHES "address")
        target_compile_definitions(sitewise_hostexec PRIVATE HX_ASAN=1)
    elseif(SITEWISE_SANITIZE MATCHES "thread")
        target_compile_definitions(sitewise_hostexec PRIVATE HX_TSAN=1)
    endif()
    target_compile_options(sitewise_hostexec PRIVATE -O2 -g)
    target_sources(sitewise PRIVATE ${cuda_sources} $<TARGET_OBJECTS:sitewise_hostexec>)
    target_include_directories(sitewise PRIVATE cuda tests/cuda/hostexec)
elseif(SITEWISE_CUDA)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
        set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
    endif()
    enable_language(CUDA)
    # These are objects, so a program that links the library needs only the static runtime and no CUDA compiler.
    add_library(sitewise_cuda OBJECT ${cuda_sources})
    set_target_properties(
        sitewise sitewise_cuda PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON
                                 CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES}")
    target_include_directories(sitewise_cuda PRIVATE $<TARGET_PROPERTY:sitewise,INCLUDE_DIRECTORIES>)
    target_include_directories(sitewise PRIVATE cuda)
    target_sources(sitewise PRIVATE $<TARGET_OBJECTS:sitewise_cuda>)
    get_filename_component(cuda_bin ${CMAKE_CUDA_COMPILER} DIRECTORY)
    find_library(
        SITEWISE_CUDART cudart_static HINTS ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES} ${cuda_bin}/../lib ${cuda_bin}/../lib64
        REQUIRED)
    find_package(Threads REQUIRED)
    # The runtime is installed beside the library, for programs and plugins that are linked to it.
    set(cuda_libraries ${SITEWISE_DESTINATION}${CMAKE_INSTALL_LIBDIR})
    install(FILES ${SITEWISE_CUDART} DESTINATION ${cuda_libraries} RENAME libcudart_static.a)
    target_link_libraries(
        sitewise PUBLIC $<BUILD_INTERFACE:${SITEWISE_CUDART}>
                        $<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${cuda_libraries}/libcudart_static.a> ${CMAKE_DL_LIBS} rt
                        ${CMAKE_THREAD_LIBS_INIT})
else()
    target_sources(sitewise PRIVATE cpp/src/no_cuda.cpp)
    # It is an object of its own, so that a program with a backend of its own (tests/cuda/hosted.py) can leave it out.
    set_source_files_properties(cpp/src/no_cuda.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endif()
