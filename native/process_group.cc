// What ranks say to each other: c10d's TCPStore (a table of keys that all ranks read and write) and its Gloo collectives.
// Every call that waits runs on a thread of its own and settles a promise, so that the event loop turns meanwhile. The
// order of a rank's collectives is the caller's business (src/torch/group.ts sees to it).

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <variant>

#include "bridge.h"

namespace selm {
namespace {

using Milliseconds = std::chrono::milliseconds;
using Bytes = std::vector<uint8_t>;
using Result = std::variant<std::monostate, double, Bytes>;

// What is open, by number. Only the JavaScript thread touches these tables; a call in flight holds its own reference.
template <typename Kind>
struct Table {
  std::map<int, Kind> entries;
  int next = 1;
  int keep(Kind entry) {
    entries.emplace(next, std::move(entry));
    return next++;
  }
  Kind at(double number) const {
    const auto found = entries.find(static_cast<int>(number));
    TORCH_CHECK(found != entries.end(), "no open store or group has the number ", number);
    return found->second;
  }
};

struct OpenStore {
  c10::intrusive_ptr<c10d::TCPStore> store;
  std::shared_ptr<std::atomic<bool>> isBeating = std::make_shared<std::atomic<bool>>(false);
};

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
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  std::shared_ptr<Turns> turns = std::make_shared<Turns>();
};

Table<OpenStore> stores;
Table<OpenGroup> groups;

// One call in flight: the promise, and what the thread found.
struct Call {
  napi_deferred deferred = nullptr;
  napi_threadsafe_function settle = nullptr;
  std::function<Result()> work;
  // Runs on the JavaScript thread when the work is done: what it opened gets its number here.
  std::function<napi_value(napi_env, const Result&)> finish;
  Result result;
  std::string problem;
  bool failed = false;
};

napi_value asValue(napi_env env, const Result& result) {
  if (const double* number = std::get_if<double>(&result)) return makeNumber(env, *number);
  if (const Bytes* bytes = std::get_if<Bytes>(&result)) {
    void* data = nullptr;
    napi_value value;
    check(env, napi_create_buffer_copy(env, bytes->size(), bytes->data(), &data, &value));
    return value;
  }
  return makeNull(env);
}

void settleCall(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Call> call(static_cast<Call*>(data));
  if (env == nullptr) return;  // the process is ending
  try {
    if (!call->failed) {
      const napi_value value = call->finish ? call->finish(env, call->result) : asValue(env, call->result);
      check(env, napi_resolve_deferred(env, call->deferred, value));
      return;
    }
    napi_value error;
    check(env, napi_create_error(env, makeString(env, "SELM_GROUP"), makeString(env, call->problem), &error));
    check(env, napi_reject_deferred(env, call->deferred, error));
  } catch (const std::exception&) {
    // JavaScript has the exception already.
  }
}

// A promise of what `work` returns, which runs on a thread of its own. A thread that still waits when the process ends is
// left where it is: nothing joins it.
napi_value promised(napi_env env, std::function<Result()> work,
                    std::function<napi_value(napi_env, const Result&)> finish = nullptr) {
  auto call = std::make_unique<Call>();
  call->work = std::move(work);
  call->finish = std::move(finish);
  napi_value promise;
  check(env, napi_create_promise(env, &call->deferred, &promise));
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr, makeString(env, "selm collective"), 0, 1, nullptr, nullptr,
                                             nullptr, settleCall, &call->settle));
  std::thread([raw = call.release()] {
    try {
      raw->result = raw->work();
    } catch (const c10::Error& error) {
      raw->failed = true;
      raw->problem = error.what_without_backtrace();
    } catch (const std::exception& error) {
      raw->failed = true;
      raw->problem = error.what();
    }
    const napi_threadsafe_function settle = raw->settle;  // `raw` is gone once it is settled
    napi_call_threadsafe_function(settle, raw, napi_tsfn_blocking);
    napi_release_threadsafe_function(settle, napi_tsfn_release);
  }).detach();
  return promise;
}

// A promise of a collective, which runs when those before it have ended.
napi_value collective(napi_env env, const OpenGroup& group, std::function<void(c10d::ProcessGroupGloo&)> work) {
  return promised(env, [group, turn = group.turns->take(), work = std::move(work)]() -> Result {
    const at::NoGradGuard noGrad;
    group.turns->await(turn);
    struct End {
      Turns& turns;
      ~End() { turns.end(); }
    } const end{*group.turns};
    work(*group.gloo);
    return {};
  });
}

Bytes bytesOf(napi_env env, napi_value value) {
  void* data = nullptr;
  size_t length = 0;
  check(env, napi_get_typedarray_info(env, value, nullptr, &length, &data, nullptr, nullptr));
  const auto* begin = static_cast<const uint8_t*>(data);
  return length == 0 ? Bytes() : Bytes(begin, begin + length);
}

constexpr const char* kLoopback = "127.0.0.1";

// A socket that only this machine can reach. TCPStore's own listens to every network and looks up the name of whoever
// connects, for its log: without a name server that stops it for seconds. This address is in /etc/hosts.
int listenOnLoopback(uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 || listen(listener, SOMAXCONN) != 0) {
    const std::string problem = std::strerror(errno);
    close(listener);
    TORCH_CHECK(false, "failed to listen: ", problem);
  }
  return listener;
}

// c10d writes the end of every connection to stderr, with a stack. What matters of it comes as an error.
void quietenLog() {
  setenv("TORCH_CPP_LOG_LEVEL", "FATAL", 0);
  c10::initLogging();
}

// openStore(host, port, hosts, timeoutMs): the number of a store; the rank that hosts it may ask for port 0, any free one.
napi_value openStore(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    quietenLog();
    c10d::TCPStoreOptions options;
    const std::string host = arguments.string(0);
    options.port = static_cast<uint16_t>(arguments.number(1));
    options.isServer = arguments.boolean(2);
    options.timeout = Milliseconds(static_cast<int64_t>(arguments.number(3)));
    options.waitWorkers = false;
    if (options.isServer && host == kLoopback) options.masterListenFd = listenOnLoopback(options.port);
    auto opened = std::make_shared<OpenStore>();
    return promised(
        env,
        [host, options, opened]() -> Result {
          opened->store = c10::make_intrusive<c10d::TCPStore>(host, options);
          return {};
        },
        [opened](napi_env env, const Result&) { return makeNumber(env, stores.keep(*opened)); });
  });
}

// storePort(store): where it listens.
napi_value storePort(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return makeNumber(env, stores.at(arguments.number(0)).store->getPort());
  });
}

napi_value storeSet(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return promised(env, [store = stores.at(arguments.number(0)).store, key = arguments.string(1),
                          value = bytesOf(env, arguments.values[2])]() -> Result {
      store->set(key, value);
      return {};
    });
  });
}

// storeGet(store, key): its bytes, or null where nobody has set it. Does not wait for it.
napi_value storeGet(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return promised(env, [store = stores.at(arguments.number(0)).store, key = arguments.string(1)]() -> Result {
      if (!store->check({key})) return {};
      return store->get(key);
    });
  });
}

// storeDelete(store, key): 1 where it was there, else 0.
napi_value storeDelete(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return promised(env, [store = stores.at(arguments.number(0)).store, key = arguments.string(1)]() -> Result {
      return store->deleteKey(key) ? 1.0 : 0.0;
    });
  });
}

// storeBeat(store, key, everyMs): from now on the key counts up, also while JavaScript computes, until the store is closed.
napi_value storeBeat(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const OpenStore open = stores.at(arguments.number(0));
    if (open.isBeating->exchange(true)) return makeNull(env);
    const Milliseconds every(static_cast<int64_t>(arguments.number(2)));
    // A connection of its own: a call that waits holds the other.
    std::thread([isBeating = open.isBeating, shared = open.store, key = arguments.string(1), every] {
      try {
        const auto store = shared->clone();
        while (isBeating->load()) {
          store->add(key, 1);
          std::this_thread::sleep_for(every);
        }
      } catch (const std::exception&) {
        // The store is gone: whoever uses it hears of that.
      }
    }).detach();
    return makeNull(env);
  });
}

napi_value closeStore(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    stores.at(arguments.number(0)).isBeating->store(false);
    stores.entries.erase(static_cast<int>(arguments.number(0)));
    return makeNull(env);
  });
}

std::shared_ptr<::gloo::transport::Device> deviceFor(const std::string& interface, const std::string& host) {
  if (!interface.empty()) return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  if (!host.empty()) return c10d::ProcessGroupGloo::createDeviceForHostname(host);
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

// openGroup(store, prefix, rank, size, interface, host, timeoutMs): the number of a Gloo group whose ranks meet in the
// store. They talk over a network interface, or over the one that has the address of a host; both empty: this machine's
// own name decides.
napi_value openGroup(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const auto store = stores.at(arguments.number(0)).store;
    const std::string prefix = arguments.string(1), interface = arguments.string(4), host = arguments.string(5);
    const int rank = static_cast<int>(arguments.number(2)), size = static_cast<int>(arguments.number(3));
    const Milliseconds timeout(static_cast<int64_t>(arguments.number(6)));
    auto opened = std::make_shared<c10::intrusive_ptr<c10d::ProcessGroupGloo>>();
    return promised(
        env,
        [=]() -> Result {
          auto options = c10d::ProcessGroupGloo::Options::create(timeout);
          options->devices.push_back(deviceFor(interface, host));
          *opened = c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>(prefix, store), rank, size,
                                                                options);
          return {};
        },
        [opened](napi_env env, const Result&) { return makeNumber(env, groups.keep(OpenGroup{*opened})); });
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

// Calls `body` with neighbours of one type that fill a bucket together; a tensor larger than that goes alone.
void eachBucket(const std::vector<at::Tensor>& tensors, const std::function<void(std::vector<at::Tensor>&)>& body) {
  for (size_t begin = 0; begin < tensors.size();) {
    std::vector<at::Tensor> bucket;
    int64_t bytes = 0;
    do {
      bytes += tensors[begin].nbytes();
      bucket.push_back(tensors[begin++]);
    } while (begin < tensors.size() && tensors[begin].scalar_type() == bucket[0].scalar_type() &&
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
    return collective(env, groups.at(arguments.number(0)), [tensors = arguments.tensors(1)](c10d::ProcessGroupGloo& gloo) {
      eachBucket(tensors, [&](std::vector<at::Tensor>& bucket) {
        asOne(bucket, [&](std::vector<at::Tensor>& flat) { gloo.allreduce(flat)->wait(); });
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
    return collective(env, groups.at(arguments.number(0)),
                      [tensors = arguments.tensors(1), options](c10d::ProcessGroupGloo& gloo) {
                        eachBucket(tensors, [&](std::vector<at::Tensor>& bucket) {
                          asOne(bucket, [&](std::vector<at::Tensor>& flat) { gloo.broadcast(flat, options)->wait(); });
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
                      [input = arguments.tensor(1), outputs = arguments.tensors(2)](c10d::ProcessGroupGloo& gloo) {
                        std::vector<at::Tensor> inputs{input};
                        std::vector<std::vector<at::Tensor>> lists;
                        if (!outputs.empty()) lists.push_back(outputs);
                        gloo.gather(lists, inputs)->wait();
                      });
  });
}

// Calls `body` with the columns of all ranks' slices, [size, slice], that fill a bucket together.
void eachColumns(const at::Tensor& slices, const std::function<void(const at::Tensor&, int64_t, int64_t)>& body) {
  const int64_t length = slices.size(1);
  const int64_t step = std::max<int64_t>(1, kBucketBytes / static_cast<int64_t>(slices.size(0) * slices.element_size()));
  for (int64_t begin = 0; begin < length; begin += step) {
    const int64_t count = std::min(step, length - begin);
    body(slices.narrow(1, begin, count), begin, count);
  }
}

at::Tensor asSlices(const at::Tensor& whole, const c10d::ProcessGroupGloo& gloo, const at::Tensor& own) {
  TORCH_CHECK(whole.is_contiguous() && own.is_contiguous() && whole.dim() == 1 && own.dim() == 1,
              "whole and own are to be vectors without gaps");
  TORCH_CHECK(whole.numel() == own.numel() * gloo.getSize() && whole.scalar_type() == own.scalar_type(), "the whole of ",
              whole.numel(), " numbers is not ", gloo.getSize(), " slices of ", own.numel());
  return whole.view({gloo.getSize(), own.numel()});
}

// groupReduceSlices(group, whole, own): the whole of every rank is as many slices as there are ranks; `own` becomes the sum,
// over all ranks in their order, of the slice with this rank's number. It may lie in the whole.
napi_value groupReduceSlices(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    return collective(env, groups.at(arguments.number(0)),
                      [whole = arguments.tensor(1), own = arguments.tensor(2)](c10d::ProcessGroupGloo& gloo) {
                        eachColumns(asSlices(whole, gloo, own), [&](const at::Tensor& columns, int64_t begin, int64_t count) {
                          at::Tensor sent = columns.contiguous(), received = at::empty_like(sent);
                          std::vector<int64_t> equal;
                          gloo.all_to_all_single(received, sent, equal, equal)->wait();
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
                      [own = arguments.tensor(1), whole = arguments.tensor(2)](c10d::ProcessGroupGloo& gloo) {
                        // Bytes, whatever they mean: Gloo does not know every type.
                        const at::Tensor ownBytes = own.view(at::kByte);
                        eachColumns(asSlices(whole.view(at::kByte), gloo, ownBytes),
                                    [&](const at::Tensor& columns, int64_t begin, int64_t count) {
                                      at::Tensor sent = ownBytes.narrow(0, begin, count).clone();
                                      at::Tensor received = at::empty({gloo.getSize() * count}, sent.options());
                                      gloo.all_gather_single(received, sent)->wait();
                                      columns.copy_(received.view({gloo.getSize(), count}));
                                    });
                      });
  });
}

}  // namespace

void defineProcessGroup(napi_env env, napi_value exports) {
  define(env, exports, "openStore", openStore);
  define(env, exports, "storePort", storePort);
  define(env, exports, "storeSet", storeSet);
  define(env, exports, "storeGet", storeGet);
  define(env, exports, "storeDelete", storeDelete);
  define(env, exports, "storeBeat", storeBeat);
  define(env, exports, "closeStore", closeStore);
  define(env, exports, "openGroup", openGroup);
  define(env, exports, "closeGroup", closeGroup);
  define(env, exports, "groupSum", groupSum);
  define(env, exports, "groupSend", groupSend);
  define(env, exports, "groupGather", groupGather);
  define(env, exports, "groupReduceSlices", groupReduceSlices);
  define(env, exports, "groupGatherSlices", groupGatherSlices);
}

}  // namespace selm
