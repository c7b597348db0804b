// LibTorch has Gloo inside and ships no header of it: what its ProcessGroupGloo.hpp names is declared here.
#pragma once
namespace gloo::transport {
class Device;
class UnboundBuffer;
}  // namespace gloo::transport
