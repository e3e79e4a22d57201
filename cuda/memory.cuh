#pragma once

// Device memory and errors of the CUDA runtime.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "portable.cuh"
#include "sitewise/error.hpp"

namespace sitewise::cuda {

/// Throws Error with the message of the CUDA runtime.
inline void check(cudaError_t code) {
    if (code != cudaSuccess) throw Error(std::string("CUDA: ") + cudaGetErrorString(code));
}

/// The number of an element's atoms, padded for rows whose columns are atoms.
inline int leading_dimension(int n) {
    return (n + 31) / 32 * 32;
}

/// The number of blocks of `threads` threads for n threads, at least one.
inline dim3 blocks_for(std::size_t n, int threads) {
    return dim3(static_cast<unsigned>(n == 0 ? 1 : (n + threads - 1) / threads));
}

/// An array on the device, which is reused. Its contents are lost when it grows.
template <class T>
class Buffer {
public:
    Buffer() = default;
    ~Buffer() { cudaFree(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

    T* reserve(std::size_t n) {
        if (n <= size_) return data_;
        check(cudaFree(data_));
        data_ = nullptr;
        size_ = 0;
        check(cudaMalloc(&data_, n * sizeof(T)));
        size_ = n;
        return data_;
    }
    T* data() const { return data_; }

    T* upload(const T* values, std::size_t n, cudaStream_t stream) {
        reserve(n);
        if (n > 0) check(cudaMemcpyAsync(data_, values, n * sizeof(T), cudaMemcpyHostToDevice, stream));
        check(cudaStreamSynchronize(stream));  // the host's array may be temporary
        return data_;
    }
    T* clear(std::size_t n, cudaStream_t stream) {
        reserve(n);
        if (n > 0) check(cudaMemsetAsync(data_, 0, n * sizeof(T), stream));
        return data_;
    }

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Returns n values from the device, after all earlier work on the stream.
template <class T>
std::vector<T> download(const T* data, std::size_t n, cudaStream_t stream) {
    std::vector<T> values(n);
    if (n > 0) check(cudaMemcpyAsync(values.data(), data, n * sizeof(T), cudaMemcpyDeviceToHost, stream));
    check(cudaStreamSynchronize(stream));
    return values;
}

/// Many arrays, which may point to each other. They are sent to the device at once, and sent again only if
/// they change.
class Packet {
public:
    /// Runs fill(packet), which calls add(), once for the sizes and once for the places.
    template <class Fill>
    void pack(Fill fill, cudaStream_t stream) {
        std::vector<unsigned char> before = std::move(bytes_);
        const unsigned char* const place = device_.data();
        base_ = nullptr;
        bytes_.clear();
        fill(*this);
        base_ = device_.reserve(bytes_.size());
        bytes_.clear();
        fill(*this);
        if (base_ != place || bytes_ != before) device_.upload(bytes_.data(), bytes_.size(), stream);
    }

    /// Adds n values; returns their place on the device.
    template <class T>
    const T* add(const T* values, std::size_t n) {
        const std::size_t at = (bytes_.size() + 15) / 16 * 16;
        bytes_.resize(at + n * sizeof(T));
        if (n > 0) std::memcpy(bytes_.data() + at, values, n * sizeof(T));
        return reinterpret_cast<const T*>(reinterpret_cast<std::uintptr_t>(base_) + at);
    }
    template <class T>
    const T* add(const std::vector<T>& values) {
        return add(values.data(), values.size());
    }

private:
    std::vector<unsigned char> bytes_;
    Buffer<unsigned char> device_;
    unsigned char* base_ = nullptr;
};

}  // namespace sitewise::cuda
