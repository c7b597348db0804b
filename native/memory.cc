// The CPU allocator: counted, and set up once so that large buffers are reused instead of being unmapped and page-faulted
// again at every step (docs/LOG.md has what that is worth). A test can make the N-th allocation fail.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <limits>

#include "bridge.h"

namespace selm {
namespace {

std::atomic<int64_t> bytesNow{0};
std::atomic<int64_t> bytesPeak{0};
std::atomic<int64_t> allocationsUntilFailure{-1};

constexpr size_t kAlignment = 64;

std::atomic<uintptr_t> heapTop{0};

uintptr_t topOfHeap() { return reinterpret_cast<uintptr_t>(sbrk(0)); }

// The heap grows in large steps (initialise). What is new of it is asked for in huge pages before it is written: fewer faults,
// and weights that are read from memory at every pass arrive 1.3 to 1.5 times as fast (docs/LOG.md). A kernel without huge pages
// refuses, and nothing changes.
void preferHugePages() {
  constexpr uintptr_t kPage = 4096;
  const uintptr_t top = topOfHeap(), before = heapTop.exchange(top);
  if (top > before)
    madvise(reinterpret_cast<void*>(before & ~(kPage - 1)), top - (before & ~(kPage - 1)), MADV_HUGEPAGE);
}

// What is kept in front of a block, so that freeing needs no table. Blocks are aligned here: posix_memalign cuts what is too much off at both
// ends, and joins it to its neighbours again when the block is freed.
struct Header {
  void* memory;
  int64_t size;
};
constexpr size_t kMore = kAlignment + sizeof(Header);

struct CountingAllocator final : c10::Allocator {
  static void release(void* pointer) {
    if (pointer == nullptr) return;
    const Header& header = static_cast<Header*>(pointer)[-1];
    bytesNow -= header.size;
    std::free(header.memory);
  }

  c10::DataPtr allocate(size_t size) override {
    if (size == 0) return {nullptr, nullptr, &release, c10::Device(c10::DeviceType::CPU)};
    int64_t left = allocationsUntilFailure.load();
    const bool injected = left >= 0 && allocationsUntilFailure.fetch_sub(1) == 0;
    const bool absurd = size > static_cast<size_t>(std::numeric_limits<int64_t>::max()) - kMore;
    void* const memory = injected || absurd ? nullptr : std::malloc(size + kMore);
    TORCH_CHECK(memory != nullptr, "can't allocate memory: you tried to allocate ", size, " bytes");
    preferHugePages();
    const auto data = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory) + kMore) & ~(kAlignment - 1));
    static_cast<Header*>(data)[-1] = {memory, static_cast<int64_t>(size)};
    const int64_t now = bytesNow += static_cast<int64_t>(size);
    int64_t peak = bytesPeak.load();
    while (now > peak && !bytesPeak.compare_exchange_weak(peak, now)) {
    }
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* target, const void* source, std::size_t count) const override {
    default_copy_data(target, source, count);
  }
};

CountingAllocator allocator;

// initialise(threads or 0): once, before the first tensor.
napi_value initialise(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    // No block gets a mapping of its own: glibc refuses thresholds above 32 MiB, so mappings are switched off instead.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
    mallopt(M_TOP_PAD, 64 << 20);
    // Threads of the team allocate from the heap, too: regions of their own would have small pages.
    mallopt(M_ARENA_MAX, 1);
    heapTop = topOfHeap();
    c10::SetCPUAllocator(&allocator, 100);
    const int threads = static_cast<int>(arguments.number(0));
    if (threads > 0) at::set_num_threads(threads);
    return makeNumber(env, at::get_num_threads());
  });
}

napi_value statistics(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const int64_t numbers[] = {liveTensors(), bytesNow.load(), bytesPeak.load(), usage.ru_maxrss * 1024,
                               at::get_num_threads()};
    return makeNumbers(env, numbers);
  });
}

// A device's allocator where it counts, and has something to count.
c10::DeviceAllocator* countingAllocator(const at::Device& device) {
  auto* const counting = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
  return counting != nullptr && counting->initialized() ? counting : nullptr;
}

c10::DeviceIndex indexOf(const at::Device& device) { return device.has_index() ? device.index() : c10::DeviceIndex{0}; }

// deviceMemory(device): bytes of tensors there now and at most, as its allocator counts them; null where it counts nothing.
napi_value deviceMemory(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const at::Device device(arguments.string(0));
    auto* const counting = countingAllocator(device);
    if (counting == nullptr) return makeNull(env);
    const auto& bytes = counting->getDeviceStats(indexOf(device))
                            .allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
    const int64_t numbers[] = {bytes.current, bytes.peak};
    return makeNumbers(env, numbers);
  });
}

// resetPeak(device): the peaks of the CPU and of a device are what is there now.
napi_value resetPeak(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const at::Device device(arguments.string(0));
    bytesPeak = bytesNow.load();
    auto* const counting = countingAllocator(device);
    if (counting != nullptr) counting->resetPeakStats(indexOf(device));
    return makeNull(env);
  });
}

// failAllocation(n): the n-th allocation from now (0 is the next) fails once; a negative number switches it off.
napi_value failAllocation(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    allocationsUntilFailure = static_cast<int64_t>(arguments.number(0));
    return makeNull(env);
  });
}

// openLibrary(path): brings in a part of LibTorch that is not linked, such as its CUDA half; null, or the loader's words. Sums of products
// in bf16 are kept in fp32 there: LibTorch would else let a card round the parts of a long sum to bf16.
napi_value openLibrary(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    if (dlopen(arguments.string(0).c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) {
      at::globalContext().setAllowBF16ReductionCuBLAS(false);
      return makeNull(env);
    }
    const char* reason = dlerror();
    return makeString(env, reason != nullptr ? reason : "unknown reason");
  });
}

}  // namespace

void defineMemory(napi_env env, napi_value exports) {
  define(env, exports, "initialise", initialise);
  define(env, exports, "statistics", statistics);
  define(env, exports, "deviceMemory", deviceMemory);
  define(env, exports, "resetPeak", resetPeak);
  define(env, exports, "failAllocation", failAllocation);
  define(env, exports, "openLibrary", openLibrary);
}

}  // namespace selm
