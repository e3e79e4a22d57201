#pragma once

#include <string>

namespace sitewise {

/// The device that computes: the processor, or the first CUDA device.
enum class Device { cpu, cuda };

/// Return the device of this name, "cpu" or "cuda". Throws Error for any other name.
Device parse_device(const std::string& name);

/// Return the CUDA status of this build and this machine, in words: "built without CUDA", "no GPU: " and the
/// driver's reason, or the name of the device.
std::string cuda_status();

}  // namespace sitewise
