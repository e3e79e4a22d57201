#pragma once

#include <string>

namespace sitewise {

/// What computes: the processor, or the first CUDA device.
enum class Device { cpu, cuda };

/// In words, what a build and a machine have of CUDA: "built without CUDA", "no GPU: " and the driver's
/// reason, or the name of the device.
std::string cuda_status();

}  // namespace sitewise
