# The CUDA backend of the library `sitewise`, or what stands in its place, see SITEWISE_CUDA.

file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cu)
if(SITEWISE_CUDA STREQUAL "HOST")  # a fiber for each CUDA thread, tests/cuda/hostexec
    set_source_files_properties(${cuda_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
    # The scheduler itself must not be seen by the sanitizers that watch the kernels.
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
    set_target_properties(
        sitewise PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_RUNTIME_LIBRARY Static
                            CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES}")
    target_sources(sitewise PRIVATE ${cuda_sources})
    target_include_directories(sitewise PRIVATE cuda)
else()
    target_sources(sitewise PRIVATE cpp/src/no_cuda.cpp)
endif()
