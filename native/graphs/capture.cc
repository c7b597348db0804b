// selm_graphs.so: CUDA graphs by LibTorch's at::cuda::CUDAGraph. Built where CUDA's headers are; opened only after LibTorch's CUDA half.
// It has been compiled and linked, and has not run on a card yet.
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>

#include <map>

#include "../graphs_library.h"

namespace selm {
namespace {

using Pool = std::shared_ptr<const c10::MempoolId_t>;

// Where all graphs take their memory: they run one after another, and none keeps anything there between two runs. With the last of them its
// memory is given up, and LibTorch takes no graph into such a pool: the next one begins another.
Pool pool() {
  static auto& latest = *new std::weak_ptr<const c10::MempoolId_t>;
  Pool living = latest.lock();
  if (living == nullptr) living = std::make_shared<const c10::MempoolId_t>(at::cuda::graph_pool_handle());
  latest = living;
  return living;
}

class CudaGraph final : public Graph {
 public:
  explicit CudaGraph(Pool pool) : memory(std::move(pool)) {}
  void replay() override { graph.replay(); }
  Pool memory;
  at::cuda::CUDAGraph graph;
};

// The default stream cannot be captured. It is always the same other one: libraries of products keep memory for each that they saw.
c10::cuda::CUDAStream streamOf(c10::DeviceIndex device) {
  static auto& streams = *new std::map<c10::DeviceIndex, c10::cuda::CUDAStream>;
  const auto found = streams.find(device);
  if (found != streams.end()) return found->second;
  return streams.emplace(device, c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)).first->second;
}

template <typename Ending>
void evenIfItFails(const Ending& ending) {
  try {
    ending();
  } catch (const c10::Error&) {
  }
}

class CudaCapture final : public Capture {
 public:
  explicit CudaCapture(c10::DeviceIndex device)
      : device_(device), onStream_(streamOf(device)), graph_(std::make_unique<CudaGraph>(pool())) {
    // Other threads (of collectives, of the driver) go on meanwhile.
    graph_->graph.capture_begin(*graph_->memory, cudaStreamCaptureModeThreadLocal);
  }

  ~CudaCapture() override {
    if (graph_ == nullptr) return;
    // It fails where the capture was spoilt, and ends it all the same.
    evenIfItFails([&] { graph_->graph.capture_end(); });
    const Pool memory = graph_->memory;
    graph_.reset();
    // Older versions of LibTorch leave the pools of the card's memory and of pinned memory open after a capture that failed, and would ask the
    // graph that is gone what belongs there. Where they are closed, this fails.
    evenIfItFails([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(device_, *memory); });
    evenIfItFails([&] { at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(*memory); });
  }

  std::unique_ptr<Graph> end() override {
    graph_->graph.capture_end();
    return std::move(graph_);
  }

 private:
  c10::DeviceIndex device_;
  c10::cuda::CUDAStreamGuard onStream_;
  std::unique_ptr<CudaGraph> graph_;
};

}  // namespace
}  // namespace selm

extern "C" __attribute__((visibility("default"))) void selmBeginCapture(c10::Device device,
                                                                        std::unique_ptr<selm::Capture>* begun) {
  const auto index = device.has_index() ? device.index() : c10::cuda::current_device();
  *begun = std::make_unique<selm::CudaCapture>(index);
}

static_assert(std::is_same_v<decltype(&selmBeginCapture), selm::BeginCapture>);
