// selm_graphs.so: CUDA graphs by LibTorch's at::cuda::CUDAGraph. Built where CUDA's headers are; opened only after LibTorch's CUDA half.
// It has been compiled and linked, and has not run on a card yet.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>

#include <map>

#include "../graphs_library.h"

namespace selm {
namespace {

class CudaGraph final : public Graph {
 public:
  void replay() override { graph.replay(); }
  at::cuda::CUDAGraph graph;
};

// Where all graphs take their memory: they run one after another, and none keeps anything there between two runs.
c10::MempoolId_t pool() {
  static const c10::MempoolId_t id = at::cuda::graph_pool_handle();
  return id;
}

// The default stream cannot be captured. It is always the same other one: libraries of products keep memory for each that they saw.
c10::cuda::CUDAStream streamOf(c10::DeviceIndex device) {
  static auto& streams = *new std::map<c10::DeviceIndex, c10::cuda::CUDAStream>;
  const auto found = streams.find(device);
  if (found != streams.end()) return found->second;
  return streams.emplace(device, c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)).first->second;
}

class CudaCapture final : public Capture {
 public:
  explicit CudaCapture(c10::DeviceIndex device)
      : device_(device), onStream_(streamOf(device)), graph_(std::make_unique<CudaGraph>()) {
    // Other threads (of collectives, of the driver) go on meanwhile.
    graph_->graph.capture_begin(pool(), cudaStreamCaptureModeThreadLocal);
  }

  ~CudaCapture() override {
    if (graph_ == nullptr) return;
    try {
      // It fails where the capture was spoilt, and ends it all the same.
      graph_->graph.capture_end();
    } catch (const c10::Error&) {
    }
    graph_.reset();
    try {
      // Older versions of LibTorch leave the pool open after a capture that failed; where it is closed, this fails.
      c10::cuda::CUDACachingAllocator::endAllocateToPool(device_, pool());
    } catch (const c10::Error&) {
    }
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
