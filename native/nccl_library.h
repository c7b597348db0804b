// The door to NCCL. It is a library of its own (native/nccl), because it needs LibTorch's CUDA half and NCCL's headers, which a
// machine without a GPU lacks.
#pragma once
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <string>

namespace selm {

struct NcclRank {
  c10::intrusive_ptr<c10d::Store> store;
  int rank;
  int size;
  std::chrono::milliseconds timeout;
};

// The name and the type of the one function of that library.
constexpr const char* kOpenNccl = "selmOpenNccl";
using OpenNccl = void (*)(const NcclRank& place, c10::intrusive_ptr<c10d::Backend>* opened);

// Loads the library and opens a rank's end of NCCL on this process's first GPU. Throws c10::Error.
c10::intrusive_ptr<c10d::Backend> openNccl(const std::string& library, const NcclRank& place);

}  // namespace selm
