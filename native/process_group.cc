// The collectives of ranks, over c10d: Gloo for tensors in memory, and beside it NCCL for those on GPUs. The order of a rank's
// collectives is the caller's business (src/torch/group.ts sees to it).

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "key_store.h"
#include "nccl_library.h"
#include "waiting.h"

namespace selm {
namespace {

// Collectives of a group happen one after the other, in the order in which JavaScript asked for them, without its help: the
// next one begins also while JavaScript computes.
class Turns {
 public:
  int64_t take() { return taken_++; }
  void await(int64_t turn) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return now_ == turn; });
  }
  void end() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      now_ += 1;
    }
    changed_.notify_all();
  }

 private:
  int64_t taken_ = 0;  // of the JavaScript thread
  int64_t now_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

struct OpenGroup {
  c10::intrusive_ptr<c10d::Backend> gloo;
  c10::intrusive_ptr<c10d::Backend> nccl;  // undefined where the ranks compute on processors
  std::shared_ptr<Turns> turns = std::make_shared<Turns>();

  // Who moves the bytes of a tensor.
  c10d::Backend& backendOf(const at::Tensor& tensor) const {
    if (tensor.is_cpu()) return *gloo;
    TORCH_CHECK(nccl.defined(), "this group was opened without NCCL, and a tensor is on ", tensor.device());
    return *nccl;
  }
};

// Never destroyed: NCCL's groups ask a device that may be gone when the process ends.
Table<OpenGroup>& groups = *new Table<OpenGroup>;

// A promise of a collective, which runs when those before it have ended.
napi_value collective(napi_env env, const OpenGroup& group, std::function<void(const OpenGroup&)> work) {
  return promised(env, [group, turn = group.turns->take(), work = std::move(work)]() -> Result {
    const at::NoGradGuard noGrad;
    group.turns->await(turn);
    struct End {
      Turns& turns;
      ~End() { turns.end(); }
    } const end{*group.turns};
    work(group);
    return {};
  });
}

std::shared_ptr<::gloo::transport::Device> deviceFor(const std::string& interface, const std::string& host) {
  if (!interface.empty()) return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  if (!host.empty()) return c10d::ProcessGroupGloo::createDeviceForHostname(host);
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

// openGroup(store, prefix, rank, size, interface, host, timeoutMs, ncclLibrary): the number of a group whose ranks meet in the
// store. They talk over a network interface, or over the one that has the address of a host; both empty: this machine's
// own name decides. With the path of the library of native/nccl, tensors on GPUs are moved by NCCL.
napi_value openGroup(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const auto store = storeOf(arguments.number(0));
    const std::string prefix = arguments.string(1), interface = arguments.string(4), host = arguments.string(5);
    const int rank = static_cast<int>(arguments.number(2)), size = static_cast<int>(arguments.number(3));
    const std::chrono::milliseconds timeout(static_cast<int64_t>(arguments.number(6)));
    const std::string ncclLibrary = arguments.string(7);
    auto opened = std::make_shared<OpenGroup>();
    return promised(
        env,
        [=]() -> Result {
          auto options = c10d::ProcessGroupGloo::Options::create(timeout);
          options->devices.push_back(deviceFor(interface, host));
          opened->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
              c10::make_intrusive<c10d::PrefixStore>(prefix, store), rank, size, options);
          if (!ncclLibrary.empty())
            opened->nccl = openNccl(
                ncclLibrary, {c10::make_intrusive<c10d::PrefixStore>(prefix + "/nccl", store), rank, size, timeout});
          return {};
        },
        [opened](napi_env env, const Result&) { return makeNumber(env, groups.keep(*opened)); });
  });
}

napi_value closeGroup(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    groups.at(arguments.number(0));
    groups.entries.erase(static_cast<int>(arguments.number(0)));
    return makeNull(env);
  });
}

// Bytes of tensors that are summed or sent together: small ones share a message, and the copy of them stays small.
constexpr int64_t kBucketBytes = int64_t{32} << 20;

// Calls `body` with neighbours of one type and device that fill a bucket together; a tensor larger than that goes alone.
void eachBucket(const std::vector<at::Tensor>& tensors, const std::function<void(std::vector<at::Tensor>&)>& body) {
  for (size_t begin = 0; begin < tensors.size();) {
    std::vector<at::Tensor> bucket;
    int64_t bytes = 0;
    do {
      bytes += tensors[begin].nbytes();
      bucket.push_back(tensors[begin++]);
    } while (begin < tensors.size() && tensors[begin].scalar_type() == bucket[0].scalar_type() &&
             tensors[begin].device() == bucket[0].device() &&
             bytes + static_cast<int64_t>(tensors[begin].nbytes()) <= kBucketBytes);
    body(bucket);
  }
}

// Runs a collective on one contiguous tensor that holds the bucket, and copies what came out back into it.
void asOne(std::vector<at::Tensor>& bucket, const std::function<void(std::vector<at::Tensor>&)>& collective) {
  if (bucket.size() == 1 && bucket[0].is_contiguous()) return collective(bucket);
  std::vector<at::Tensor> parts;
  for (const at::Tensor& tensor : bucket) parts.push_back(tensor.reshape({-1}));
  std::vector<at::Tensor> flat{at::cat(parts)};
  collective(flat);
  int64_t begin = 0;
  for (const at::Tensor& tensor : bucket) {
    tensor.copy_(flat[0].narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

// groupSum(group, tensors): each becomes the sum over all ranks. Gloo's ring adds in an order that only the number of ranks
// and the sizes decide, and every rank gets the same bits.
napi_value groupSum(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return collective(env, groups.at(arguments.number(0)), [tensors = arguments.tensors(1)](const OpenGroup& group) {
      eachBucket(tensors, [&](std::vector<at::Tensor>& bucket) {
        asOne(bucket, [&](std::vector<at::Tensor>& flat) { group.backendOf(flat[0]).allreduce(flat)->wait(); });
      });
    });
  });
}

// groupSend(group, tensors, from): each becomes what it is on that rank.
napi_value groupSend(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    c10d::BroadcastOptions options;
    options.rootRank = static_cast<int64_t>(arguments.number(2));
    return collective(
        env, groups.at(arguments.number(0)), [tensors = arguments.tensors(1), options](const OpenGroup& group) {
          eachBucket(tensors, [&](std::vector<at::Tensor>& bucket) {
            asOne(bucket,
                  [&](std::vector<at::Tensor>& flat) { group.backendOf(flat[0]).broadcast(flat, options)->wait(); });
          });
        });
  });
}

// groupGather(group, input, outputs): on rank 0 the outputs become the inputs of all ranks, which have one shape; elsewhere
// there are none.
napi_value groupGather(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return collective(env, groups.at(arguments.number(0)),
                      [input = arguments.tensor(1), outputs = arguments.tensors(2)](const OpenGroup& group) {
                        std::vector<at::Tensor> inputs{input};
                        std::vector<std::vector<at::Tensor>> lists;
                        if (!outputs.empty()) lists.push_back(outputs);
                        group.backendOf(input).gather(lists, inputs)->wait();
                      });
  });
}

// Calls `body` with the columns of all ranks' slices, [size, slice], that fill a bucket together.
void eachColumns(const at::Tensor& slices, const std::function<void(const at::Tensor&, int64_t, int64_t)>& body) {
  const int64_t length = slices.size(1);
  const int64_t step =
      std::max<int64_t>(1, kBucketBytes / static_cast<int64_t>(slices.size(0) * slices.element_size()));
  for (int64_t begin = 0; begin < length; begin += step) {
    const int64_t count = std::min(step, length - begin);
    body(slices.narrow(1, begin, count), begin, count);
  }
}

at::Tensor asSlices(const at::Tensor& whole, int64_t size, const at::Tensor& own) {
  TORCH_CHECK(whole.is_contiguous() && own.is_contiguous() && whole.dim() == 1 && own.dim() == 1,
              "whole and own are to be vectors without gaps");
  TORCH_CHECK(whole.numel() == own.numel() * size && whole.scalar_type() == own.scalar_type(), "the whole of ",
              whole.numel(), " numbers is not ", size, " slices of ", own.numel());
  return whole.view({size, own.numel()});
}

// Both collectives below are called by the names that all LibTorch from 2.11 on have.

// groupReduceSlices(group, whole, own): the whole of every rank is as many slices as there are ranks; `own` becomes the sum,
// over all ranks in their order, of the slice with this rank's number. It may lie in the whole.
napi_value groupReduceSlices(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return collective(env, groups.at(arguments.number(0)),
                      [whole = arguments.tensor(1), own = arguments.tensor(2)](const OpenGroup& group) {
                        c10d::Backend& backend = group.backendOf(whole);
                        eachColumns(asSlices(whole, backend.getSize(), own),
                                    [&](const at::Tensor& columns, int64_t begin, int64_t count) {
                                      at::Tensor sent = columns.contiguous(), received = at::empty_like(sent);
                                      std::vector<int64_t> equal;
                                      backend.alltoall_base(received, sent, equal, equal)->wait();
                                      at::Tensor sum = received[0];
                                      for (int64_t rank = 1; rank < received.size(0); rank++) sum.add_(received[rank]);
                                      own.narrow(0, begin, count).copy_(sum);
                                    });
                      });
  });
}

// groupGatherSlices(group, own, whole): the whole becomes the slices of all ranks in their order. `own` may lie in the whole.
napi_value groupGatherSlices(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return collective(env, groups.at(arguments.number(0)),
                      [own = arguments.tensor(1), whole = arguments.tensor(2)](const OpenGroup& group) {
                        c10d::Backend& backend = group.backendOf(own);
                        const int64_t size = backend.getSize();
                        // Bytes, whatever they mean: Gloo does not know every type.
                        const at::Tensor ownBytes = own.view(at::kByte);
                        eachColumns(asSlices(whole.view(at::kByte), size, ownBytes),
                                    [&](const at::Tensor& columns, int64_t begin, int64_t count) {
                                      at::Tensor sent = ownBytes.narrow(0, begin, count).clone();
                                      at::Tensor received = at::empty({size * count}, sent.options());
                                      backend._allgather_base(received, sent)->wait();
                                      columns.copy_(received.view({size, count}));
                                    });
                      });
  });
}

}  // namespace

void defineProcessGroup(napi_env env, napi_value exports) {
  define(env, exports, "openGroup", openGroup);
  define(env, exports, "closeGroup", closeGroup);
  define(env, exports, "groupSum", groupSum);
  define(env, exports, "groupSend", groupSend);
  define(env, exports, "groupGather", groupGather);
  define(env, exports, "groupReduceSlices", groupReduceSlices);
  define(env, exports, "groupGatherSlices", groupGatherSlices);
}

}  // namespace selm
