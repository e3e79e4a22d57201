// Blocks and warps that a multiprocessor holds at once, by NVIDIA's cuda_occupancy.h: for each line of the
// input, "registers shared_bytes threads" of a kernel, a line "blocks warps" for each device.
#include <cuda_occupancy.h>
#include <cuda_runtime_api.h>

#include <cstdio>

namespace {

cudaOccDeviceProp device(int major, std::size_t shared_kb, int multiprocessors) {
    cudaOccDeviceProp d{};
    d.computeMajor = major;
    d.maxThreadsPerBlock = 1024;
    d.maxThreadsPerMultiprocessor = 2048;
    d.regsPerBlock = d.regsPerMultiprocessor = 65536;
    d.warpSize = 32;
    d.sharedMemPerBlock = 48 << 10;
    d.sharedMemPerMultiprocessor = shared_kb << 10;
    d.sharedMemPerBlockOptin = (shared_kb - 1) << 10;
    d.reservedSharedMemPerBlock = 1 << 10;
    d.numSms = multiprocessors;
    return d;
}

}  // namespace

int main() {
    const cudaOccDeviceProp devices[] = {device(8, 164, 108), device(9, 228, 132)};
    int registers, threads;
    unsigned long shared;
    while (std::scanf("%d %lu %d", &registers, &shared, &threads) == 3)
        for (const cudaOccDeviceProp& d : devices) {
            cudaOccFuncAttributes kernel{};
            kernel.maxThreadsPerBlock = 1024;
            kernel.numRegs = registers;
            kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
            kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
            kernel.maxDynamicSharedSizeBytes = d.sharedMemPerBlockOptin;
            kernel.numBlockBarriers = 1;
            cudaOccDeviceState state{};
            cudaOccResult result{};
            if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &d, &kernel, &state, threads, shared) !=
                CUDA_OCC_SUCCESS)
                return 1;
            std::printf("%d %d\n", result.activeBlocksPerMultiprocessor,
                        result.activeBlocksPerMultiprocessor * ((threads + 31) / 32));
        }
}
