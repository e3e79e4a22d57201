#pragma once

#include <string>

namespace sitewise {

/// The device that computes: the processor, or the first CUDA device.
enum class Device { cpu, cuda };

/// Return the CUDA status of this build and this machine, in words: "built without CUDA", "no GPU: " and the
/// driver's reason, or the name of the device.
std::string cuda_status();

}  // namespace sitewise
