// The tables of keys that are open here, for the groups whose ranks meet in one.
#pragma once
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace selm {

// The store that `openStore` gave this number. Of the JavaScript thread.
c10::intrusive_ptr<c10d::TCPStore> storeOf(double number);

}  // namespace selm
