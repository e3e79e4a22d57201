#pragma once

#include <vector>

#include "portable.cuh"
#include "sitewise/error.hpp"

namespace sitewise::cuda {

/// Numbers in the memory of the device
template <class T>
class Device {
public:
    explicit Device(std::size_t size) : size_(size) { good(cudaMalloc(&data_, size * sizeof(T))); }
    explicit Device(const std::vector<T>& host) : Device(host.size()) {
        good(cudaMemcpy(data_, host.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
    }
    Device(const Device&) = delete;
    ~Device() { cudaFree(data_); }

    T* data() const { return data_; }
    std::vector<T> host() const {
        std::vector<T> result(size_);
        good(cudaGetLastError());
        good(cudaMemcpy(result.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
        return result;
    }

private:
    static void good(cudaError_t error) {
        if (error != cudaSuccess) throw Error(std::string("CUDA: ") + cudaGetErrorString(error));
    }
    std::size_t size_;
    T* data_ = nullptr;
};

}  // namespace sitewise::cuda
