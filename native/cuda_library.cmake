# A part of the engine that needs LibTorch's CUDA half and headers of CUDA: a library of its own, opened beside selm.node where it is there.
# cuda_library(NAME SOURCE HEADER...): left out, with the reason, where one of them is missing. pip's packages lie beside `torch`.
file(GLOB SELM_HINTS ${SELM_LIBTORCH}/../nvidia/*/include ${SELM_LIBTORCH}/../nvidia/*/include/cccl
     $ENV{CUDA_HOME}/include $ENV{CUDA_HOME}/include/cccl /usr/local/cuda/include /usr/local/cuda/include/cccl)

function(cuda_library NAME SOURCE)
  foreach(HEADER ${ARGN})
    string(MAKE_C_IDENTIFIER ${HEADER} ID)
    find_path(SELM_HEADER_${ID} ${HEADER} HINTS ${SELM_HINTS})
    if(SELM_HEADER_${ID})
      list(APPEND INCLUDES ${SELM_HEADER_${ID}})
    else()
      list(APPEND MISSING ${HEADER})
    endif()
  endforeach()
  if(NOT EXISTS ${SELM_LIBTORCH}/lib/libtorch_cuda.so)
    message(STATUS "${NAME} is left out: ${SELM_LIBTORCH} has no libtorch_cuda.so")
    return()
  elseif(MISSING)
    message(STATUS "${NAME} is left out: headers are missing: ${MISSING}")
    return()
  endif()
  add_library(${NAME} MODULE ${SOURCE})
  set_target_properties(${NAME} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden BUILD_RPATH "${SELM_LIBTORCH}/lib"
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  target_include_directories(${NAME} SYSTEM PRIVATE ${SELM_LIBTORCH}/include
                             ${SELM_LIBTORCH}/include/torch/csrc/api/include ${INCLUDES})
  target_compile_options(${NAME} PRIVATE ${SELM_SPEED} -Wall -Wextra -Wno-unused-parameter)
  target_link_libraries(${NAME} PRIVATE ${SELM_LIBTORCH}/lib/libtorch_cuda.so ${SELM_LIBTORCH}/lib/libc10_cuda.so
                        ${SELM_LIBTORCH}/lib/libtorch_cpu.so ${SELM_LIBTORCH}/lib/libc10.so)
  # What libtorch_cuda.so needs itself (cuDNN, cuBLAS ...) is found when it is loaded.
  target_link_options(${NAME} PRIVATE -Wl,--allow-shlib-undefined)
endfunction()
