// Replaces cuda/ in a build without CUDA.

#include "backend.hpp"
#include "sitewise/error.hpp"

namespace sitewise {

std::string cuda_status() {
    return "built without CUDA";
}

std::shared_ptr<DeviceBackend> cuda_backend() {
    throw Error("device cuda: sitewise was built without CUDA");
}

}  // namespace sitewise
