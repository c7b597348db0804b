#include "compiler.h"

#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <map>
#include <mutex>
#include <tuple>

#include "cuda_sources.h"

namespace selm::cuda {
namespace {

// NVRTC's and the driver's functions, as their manuals declare them: opaque handles, and 0 for success.
struct Library {
  int (*createProgram)(void**, const char*, const char*, int, const char* const*, const char* const*);
  int (*compileProgram)(void*, int, const char* const*);
  int (*binarySize)(void*, size_t*);
  int (*binary)(void*, char*);
  int (*logSize)(void*, size_t*);
  int (*log)(void*, char*);
  int (*destroyProgram)(void**);
  int (*loadModule)(void**, const void*);
  int (*findFunction)(void**, void*, const char*);
  int (*setFunctionAttribute)(void*, int, int);
  int (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);
  int (*currentContext)(void**);
  int (*retainContext)(void**, int);
  int (*setContext)(void*);
  int (*deviceAttribute)(int*, int, int);
  int (*errorText)(int, const char**);
};

constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
constexpr int kSharedBytes = 8;                              // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kSharedBytesOfAll = 47 * 1024;  // what a kernel may have without asking, less what it declares itself

// libcaffe2_nvrtc.so is LibTorch's own link to both libraries, and lies beside libtorch_cpu.so.
Library openLibrary() {
  Dl_info place;
  TORCH_CHECK(dladdr(reinterpret_cast<void*>(&at::globalContext), &place) != 0, "cannot find LibTorch's own folder");
  const std::string cpu = place.dli_fname, path = cpu.substr(0, cpu.rfind('/') + 1) + "libcaffe2_nvrtc.so";
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(handle != nullptr, "cannot load ", path, ", which compiles kernels for the card: ", dlerror());
  const auto find = [&](auto& function, const char* name) {
    void* const symbol = dlsym(handle, name);
    TORCH_CHECK(symbol != nullptr, path, " gives no ", name, ": ", dlerror());
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
  };
  Library library;
  find(library.createProgram, "nvrtcCreateProgram");
  find(library.compileProgram, "nvrtcCompileProgram");
  find(library.binarySize, "nvrtcGetCUBINSize");
  find(library.binary, "nvrtcGetCUBIN");
  find(library.logSize, "nvrtcGetProgramLogSize");
  find(library.log, "nvrtcGetProgramLog");
  find(library.destroyProgram, "nvrtcDestroyProgram");
  find(library.loadModule, "cuModuleLoadData");
  find(library.findFunction, "cuModuleGetFunction");
  find(library.setFunctionAttribute, "cuFuncSetAttribute");
  find(library.launch, "cuLaunchKernel");
  find(library.currentContext, "cuCtxGetCurrent");
  find(library.retainContext, "cuDevicePrimaryCtxRetain");
  find(library.setContext, "cuCtxSetCurrent");
  find(library.deviceAttribute, "cuDeviceGetAttribute");
  find(library.errorText, "cuGetErrorString");
  return library;
}

const Library& library() {
  static const Library opened = openLibrary();
  return opened;
}

void check(int result, const char* what) {
  if (result == 0) return;
  const char* text = nullptr;
  library().errorText(result, &text);
  TORCH_CHECK(false, "cannot ", what, ": ", text == nullptr ? "unknown error" : text, " (CUDA driver error ", result,
              ")");
}

// A thread of LibTorch's that runs backward passes has no context before its first call of the runtime. LibTorch's is the primary one.
void enterContext(int device) {
  void* context = nullptr;
  check(library().currentContext(&context), "ask for the card's context");
  if (context != nullptr) return;
  check(library().retainContext(&context, device), "find the card's context");
  check(library().setContext(context), "enter the card's context");
}

std::string architectureOf(int device) {
  int major = 0, minor = 0;
  check(library().deviceAttribute(&major, kCapabilityMajor, device), "ask the card for its compute capability");
  check(library().deviceAttribute(&minor, kCapabilityMinor, device), "ask the card for its compute capability");
  return "--gpu-architecture=sm_" + std::to_string(major * 10 + minor);
}

std::string compiled(const Source& source, const std::vector<std::string>& definitions, int device) {
  std::vector<std::string> options{architectureOf(device), "--std=c++17", "-default-device"};
  for (const std::string& each : definitions) options.push_back(each.starts_with("-") ? each : "-D" + each);
  std::vector<const char*> words;
  for (const std::string& option : options) words.push_back(option.c_str());
  const std::string text = std::string(sources::prelude.text) + source.text;
  void* program = nullptr;
  TORCH_CHECK(library().createProgram(&program, text.c_str(), source.name, 0, nullptr, nullptr) == 0,
              "NVRTC does not take ", source.name);
  const int result = library().compileProgram(program, static_cast<int>(words.size()), words.data());
  size_t size = 0;
  std::string bytes;
  if (result == 0) {
    library().binarySize(program, &size);
    bytes.resize(size);
    library().binary(program, bytes.data());
  } else {
    library().logSize(program, &size);
    bytes.resize(size);
    library().log(program, bytes.data());
  }
  library().destroyProgram(&program);
  TORCH_CHECK(result == 0, "cannot compile ", source.name, " with ", c10::Join(" ", options), ": ", bytes);
  return bytes;
}

// Modules are never unloaded: the card may be gone when the process ends.
void* moduleOf(const Source& source, const std::vector<std::string>& definitions, int device) {
  using Key = std::tuple<std::string, std::vector<std::string>, int>;
  static auto& mutex = *new std::mutex;
  static auto& modules = *new std::map<Key, void*>;
  const std::lock_guard lock(mutex);
  void*& module = modules[Key{source.name, definitions, device}];
  if (module == nullptr)
    check(library().loadModule(&module, compiled(source, definitions, device).data()), "load a kernel");
  return module;
}

void* functionOf(void* module, const char* kernel, int sharedBytes) {
  static auto& mutex = *new std::mutex;
  static auto& functions = *new std::map<std::pair<void*, std::string>, void*>;
  const std::lock_guard lock(mutex);
  void*& function = functions[{module, kernel}];
  if (function == nullptr) check(library().findFunction(&function, module, kernel), "find a kernel");
  if (sharedBytes > kSharedBytesOfAll)
    check(library().setFunctionAttribute(function, kSharedBytes, sharedBytes), "give a kernel its memory");
  return function;
}

}  // namespace

std::string definition(const char* name, at::ScalarType type) {
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "kernels are for fp32 and bf16, got ", type);
  return std::string(name) + (type == at::kFloat ? "=float" : "=bf16");
}

Program::Program(const Source& source, std::vector<std::string> definitions, const at::Tensor& on)
    : device_(on.device()), module_(nullptr) {
  const c10::DeviceGuard guard(device_);
  enterContext(device_.index());
  module_ = moduleOf(source, definitions, device_.index());
}

void Program::start(const char* kernel, const Grid& grid, void** arguments) const {
  if (grid.blocks == 0 || grid.blocksY == 0) return;
  const c10::DeviceGuard guard(device_);
  enterContext(device_.index());
  // LibTorch's own stream of this thread, so that a kernel comes after what it was asked before, and into a graph that is being captured.
  const c10::impl::VirtualGuardImpl backend(device_.type());
  void* const stream = backend.getStreamNativeHandle(backend.getStream(device_));
  check(library().launch(functionOf(module_, kernel, grid.sharedBytes), static_cast<unsigned>(grid.blocks),
                         static_cast<unsigned>(grid.blocksY), 1, grid.threads, 1, 1, grid.sharedBytes, stream,
                         arguments, nullptr),
        "start a kernel");
}

}  // namespace selm::cuda
