// Opens NCCL's library when ranks compute on GPUs.
#include "nccl_library.h"

#include <c10/util/Exception.h>
#include <dlfcn.h>

namespace selm {

c10::intrusive_ptr<c10d::Backend> openNccl(const std::string& library, const NcclRank& place) {
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(handle != nullptr, "cannot load ", library, ": ", dlerror());
  const auto open = reinterpret_cast<OpenNccl>(dlsym(handle, kOpenNccl));
  TORCH_CHECK(open != nullptr, library, " is of another version");
  c10::intrusive_ptr<c10d::Backend> opened;
  open(place, &opened);
  return opened;
}

}  // namespace selm
