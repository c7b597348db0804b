// Stop signals while JavaScript computes. Node hears a signal when its event loop turns, which a long product keeps from
// happening: so the first one is acknowledged here, in the handler, and handed on to Node; the second ends the process.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "bridge.h"

namespace selm {
namespace {

struct Signal {
  int number;
  const char* name;
  struct sigaction before;  // Node's handler, which wakes the event loop
  char text[512];
  size_t length;
};

Signal signals[] = {{SIGINT, "SIGINT: ", {}, "", 0}, {SIGTERM, "SIGTERM: ", {}, "", 0}};
volatile sig_atomic_t heard = 0;

// Only what POSIX calls async-signal-safe happens here.
void onSignal(int number) {
  const int savedErrno = errno;
  for (Signal& signal : signals) {
    if (signal.number != number) continue;
    if (heard) {
      struct sigaction standard{};
      standard.sa_handler = SIG_DFL;
      sigaction(number, &standard, nullptr);
      raise(number);  // is delivered when this handler returns
    } else {
      heard = 1;
      [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, signal.text, signal.length);
      signal.before.sa_handler(number);
    }
  }
  errno = savedErrno;
}

// answerSignals(before, text): from now on the first SIGINT or SIGTERM writes `before`, its name and `text` to stderr at
// once, and the second ends the process. False where nobody listens to both: nothing is changed then.
napi_value answerSignals(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments arguments(env, info);
    const std::string before = arguments.string(0), text = arguments.string(1);
    for (Signal& signal : signals) {
      sigaction(signal.number, nullptr, &signal.before);
      const bool isListened = !(signal.before.sa_flags & SA_SIGINFO) && signal.before.sa_handler != SIG_DFL &&
                              signal.before.sa_handler != SIG_IGN && signal.before.sa_handler != onSignal;
      if (!isListened) return makeBoolean(env, false);
      const std::string line = before + signal.name + text + "\n";
      signal.length = std::min(line.size(), sizeof(signal.text));
      std::memcpy(signal.text, line.data(), signal.length);
    }
    heard = 0;
    for (Signal& signal : signals) {
      struct sigaction own = signal.before;
      own.sa_handler = onSignal;
      sigaction(signal.number, &own, nullptr);
    }
    return makeBoolean(env, true);
  });
}

}  // namespace

void defineSignals(napi_env env, napi_value exports) { define(env, exports, "answerSignals", answerSignals); }

}  // namespace selm
