// A card that is not there: the words of CUDA C++ that our kernels use (native/kernels/cuda), for one block after another on the CPU. A thread of
// a block is a fiber. It runs until it waits for others, at a barrier or where a warp exchanges numbers; then the next one runs. So what a
// kernel computes is the same each time. Speed, memory and registers of a card are not emulated.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#undef INFINITY  // prelude.cu has its own
#define __device__
#define __global__
#define __launch_bounds__(threads)
#define __shared__ thread_local  // of the block that runs: `extern` and in the middle of a function, as CUDA has it
#define asm(...) bits = emulated::toBf16(x)  // the one instruction of PTX: cvt.rn.bf16.f32

struct uint4 {
  unsigned x, y, z, w;
};
struct float3 {
  float x, y, z;
};

inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline float __int_as_float(int bits) { return __uint_as_float(static_cast<unsigned>(bits)); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline int __ffs(unsigned bits) { return __builtin_ffs(static_cast<int>(bits)); }
using std::max, std::min;

namespace emulated {

struct Dimensions {
  int x, y;
};

constexpr int kLanes = 32;

struct Thread {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
  bool hasEnded;
  int barriers, exchanges;  // that it came to so far
};

inline std::vector<Thread> threads;
inline int running;
inline ucontext_t scheduler;
inline std::function<void()> kernel;

inline unsigned short toBf16(float x) {
  const unsigned bits = __float_as_uint(x);
  return static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Lets others run until threads first .. last - 1 have come as far as this one.
inline void waitFor(int first, int last, int Thread::* count) {
  const int own = ++(threads[running].*count);
  const auto isThere = [&](const Thread& each) { return each.hasEnded || each.*count >= own; };
  while (!std::all_of(threads.begin() + first, threads.begin() + last, isThere))
    swapcontext(&threads[running].context, &scheduler);
}

inline void waitForWarp() {
  const int first = running / kLanes * kLanes;
  waitFor(first, first + kLanes, &Thread::exchanges);
}

// What lane `from` of the warp gives.
template <typename T>
T exchanged(T value, int from) {
  static T given[1024];
  given[running] = value;
  waitForWarp();
  const T taken = given[running / kLanes * kLanes + from];
  waitForWarp();
  return taken;
}

inline void runThread() {
  kernel();
  threads[running].hasEnded = true;
  swapcontext(&threads[running].context, &scheduler);
}

}  // namespace emulated

inline emulated::Dimensions blockIdx, gridDim, blockDim;
#define threadIdx (emulated::Dimensions{emulated::running, 0})

inline void __syncthreads() {
  emulated::waitFor(0, static_cast<int>(emulated::threads.size()), &emulated::Thread::barriers);
}
inline void __syncwarp() { emulated::waitForWarp(); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int distance) {
  return emulated::exchanged(value, emulated::running % emulated::kLanes ^ distance);
}
template <typename T>
T __shfl_up_sync(unsigned, T value, int distance) {
  const int lane = emulated::running % emulated::kLanes;
  return emulated::exchanged(value, lane < distance ? lane : lane - distance);
}
template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulated::exchanged(value, lane);
}
inline unsigned __ballot_sync(unsigned, bool own) {
  unsigned bits = 0;
  for (int lane = 0; lane < emulated::kLanes; lane++)
    bits |= static_cast<unsigned>(emulated::exchanged<bool>(own, lane)) << lane;
  return bits;
}

namespace emulated {

// Runs all blocks of a grid, each with so many threads.
inline void launch(Dimensions grid, int size, const std::function<void()>& body) {
  gridDim = grid;
  blockDim = {size, 1};
  kernel = body;
  threads.resize(static_cast<size_t>(size));
  for (int block = 0; block < grid.x * grid.y; block++) {
    blockIdx = {block % grid.x, block / grid.x};
    for (Thread& each : threads) {
      each.hasEnded = false;
      each.barriers = each.exchanges = 0;
      getcontext(&each.context);
      each.context.uc_stack.ss_sp = each.stack.data();
      each.context.uc_stack.ss_size = each.stack.size();
      makecontext(&each.context, runThread, 0);
    }
    bool isDone = false;
    while (!isDone) {
      isDone = true;
      for (running = 0; running < size; running++) {
        if (threads[running].hasEnded) continue;
        isDone = false;
        swapcontext(&scheduler, &threads[running].context);
      }
    }
  }
}

}  // namespace emulated
