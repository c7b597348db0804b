// A table of keys that all ranks read and write: c10d's TCPStore, hosted by one of them.
#include "key_store.h"

#include <c10/util/Logging.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "waiting.h"

namespace selm {
namespace {

using Milliseconds = std::chrono::milliseconds;

struct OpenStore {
  c10::intrusive_ptr<c10d::TCPStore> store;
  std::shared_ptr<std::atomic<bool>> isBeating = std::make_shared<std::atomic<bool>>(false);
};

Table<OpenStore> stores;

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
  TORCH_CHECK(listener >= 0, "failed to open a socket: ", std::strerror(errno));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, SOMAXCONN) != 0) {
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
    return promised(env,
                    [store = stores.at(arguments.number(0)).store, key = arguments.string(1),
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

}  // namespace

c10::intrusive_ptr<c10d::TCPStore> storeOf(double number) { return stores.at(number).store; }

void defineKeyStore(napi_env env, napi_value exports) {
  define(env, exports, "openStore", openStore);
  define(env, exports, "storePort", storePort);
  define(env, exports, "storeSet", storeSet);
  define(env, exports, "storeGet", storeGet);
  define(env, exports, "storeDelete", storeDelete);
  define(env, exports, "storeBeat", storeBeat);
  define(env, exports, "closeStore", closeStore);
}

}  // namespace selm
