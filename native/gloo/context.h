// LibTorch has Gloo inside and ships no header of it: what its ProcessGroupGloo.hpp names is declared here.
#pragma once
#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
