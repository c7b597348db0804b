// selm_nccl.so: c10d's NCCL as a backend of the collectives in ../process_group.cc. Built where the headers of CUDA and NCCL
// are; opened only after LibTorch's CUDA half. It has run on one H100, as one rank and as two.
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>

#include "../nccl_library.h"

namespace selm {
namespace {

// A collective's thread may wait, so it waits until the GPU is done: what fails, or takes too long, then is the error of that
// collective, as with Gloo. Without these two, c10d's watchdog would end the process instead. A user's own setting stands.
void waitForResults() {
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 0);
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 0);
}

}  // namespace
}  // namespace selm

extern "C" __attribute__((visibility("default"))) void selmOpenNccl(const selm::NcclRank& place,
                                                                    c10::intrusive_ptr<c10d::Backend>* opened) {
  selm::waitForResults();
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = place.timeout;
  *opened = c10::make_intrusive<c10d::ProcessGroupNCCL>(place.store, place.rank, place.size, options);
}

static_assert(std::is_same_v<decltype(&selmOpenNccl), selm::OpenNccl>);
