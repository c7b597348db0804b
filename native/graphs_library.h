// The door to CUDA graphs. What makes them is a library of its own (native/graphs), because it needs LibTorch's CUDA half and CUDA's headers,
// which a machine without a GPU lacks.
#pragma once
#include <c10/core/Device.h>

#include <memory>

namespace selm {

// What a device was asked to do, as one thing that it can be asked again.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void replay() = 0;
};

// A capture under way: what this thread asks of the device is written down and not done. Destroyed without an end, it is given up.
class Capture {
 public:
  virtual ~Capture() = default;
  // The graph. Throws c10::Error where the device was asked for what no graph can hold.
  virtual std::unique_ptr<Graph> end() = 0;
};

// The name and the type of the one function of that library.
constexpr const char* kBeginCapture = "selmBeginCapture";
using BeginCapture = void (*)(c10::Device device, std::unique_ptr<Capture>* begun);

}  // namespace selm
