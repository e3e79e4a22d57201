// Scheduler of the host-execution shim. Compile this file WITHOUT -fsanitize, with -DHX_ASAN=1 or
// -DHX_TSAN=1 when the kernels are compiled with that sanitizer: its own bookkeeping must not
// appear in the sanitizer's picture of the kernel.
#include "hostexec.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "recorder.hpp"
#if HX_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if HX_TSAN
#include <sanitizer/tsan_interface.h>
#include <sys/syscall.h>
#endif

namespace hostexec {
Lane* self = nullptr;
dim3 grid_dim, block_dim;

namespace {
enum class State : std::uint8_t { ready, at_barrier, at_warp_op, done };
constexpr std::size_t kStack = 256 * 1024;

struct Fiber : Lane {
    ucontext_t ctx{};
    char* stack = nullptr;
    void* tsan = nullptr;
    void* asan_fake = nullptr;
    State state = State::done;
    const char* file = "";
    int line = 0;  // where it waits
    WarpOp op{};
    unsigned mask = 0, src = 0;
    std::uint64_t value = 0;  // pending warp operation
    unsigned barrier_phase = 0, warp_phase = 0;
};
struct SharedArray {
    const void* key;
    unsigned char* raw;
    std::size_t bytes;
};
constexpr std::size_t kCanary = 64;

std::vector<std::unique_ptr<Fiber>> pool;
std::vector<SharedArray> arrays;  // of the running block
unsigned char* dyn_raw = nullptr;
std::size_t dyn_bytes = 0, max_dyn = 48 * 1024;
ucontext_t sched_ctx;
void* sched_fake = nullptr;
const void* sched_bottom = nullptr;
std::size_t sched_size = 0;
void* sched_tsan = nullptr;
const std::function<void()>* body = nullptr;
Fiber* current = nullptr;
std::string error;
std::vector<unsigned> ready;
char tok_launch, tok_end, tok_bar[2], tok_warp[64][2];
Stats the_stats;
std::uint64_t rng_state = 1;
std::uint64_t rng() {
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    return rng_state ^= rng_state << 17;
}

void hb_release(void* t) {
    (void)t;
#if HX_TSAN
    __tsan_release(t);
#endif
}
void hb_acquire(void* t) {
    (void)t;
#if HX_TSAN
    __tsan_acquire(t);
#endif
}
void to_scheduler(bool finished = false) {
    Fiber* f = current;
    (void)finished;
    ++the_stats.switches;
#if HX_ASAN
    __sanitizer_start_switch_fiber(finished ? nullptr : &f->asan_fake, sched_bottom, sched_size);
#endif
#if HX_TSAN
    __tsan_switch_to_fiber(sched_tsan, __tsan_switch_to_fiber_no_sync);
#endif
    swapcontext(&f->ctx, &sched_ctx);
#if HX_ASAN
    __sanitizer_finish_switch_fiber(f->asan_fake, &sched_bottom, &sched_size);
#endif
}
void entry() {
#if HX_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &sched_bottom, &sched_size);
#endif
    for (;;) {
        Fiber* f = current;
        hb_acquire(&tok_launch);
        try {
            (*body)();
        } catch (const std::exception& e) {
            error = std::string("exception in a kernel thread: ") + e.what();
        }
        hb_release(&tok_end);
        f->state = State::done;
        to_scheduler();
    }
}
void to_fiber(Fiber* f) {
    current = f;
    self = f;
    ++the_stats.switches;
#if HX_ASAN
    __sanitizer_start_switch_fiber(&sched_fake, f->stack, kStack);
#endif
#if HX_TSAN
    __tsan_switch_to_fiber(f->tsan, __tsan_switch_to_fiber_no_sync);
#endif
    swapcontext(&sched_ctx, &f->ctx);
#if HX_ASAN
    __sanitizer_finish_switch_fiber(sched_fake, nullptr, nullptr);
#endif
    self = nullptr;
}
void reset_fiber(Fiber& f) {
    if (!f.stack) {
        const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        char* m = static_cast<char*>(
            mmap(nullptr, kStack + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mprotect(m, page, PROT_NONE);
        f.stack = m + page;
    }
#if HX_TSAN
    if (f.tsan) __tsan_destroy_fiber(f.tsan);
    f.tsan = __tsan_create_fiber(0);
#endif
    getcontext(&f.ctx);
    f.ctx.uc_stack.ss_sp = f.stack;
    f.ctx.uc_stack.ss_size = kStack;
    f.ctx.uc_link = nullptr;
    makecontext(&f.ctx, entry, 0);
}
std::string where(const Fiber& f) {
    const char* s = std::strrchr(f.file, '/');
    return std::string(s ? s + 1 : f.file) + ":" + std::to_string(f.line);
}
std::string name_of(const Fiber& f) {
    return "block (" + std::to_string(f.block.x) + "," + std::to_string(f.block.y) + ") thread " +
           std::to_string(f.linear);
}
#if HX_TSAN  // fresh addresses within a launch, invisible to TSan's malloc/free/memset interceptors
std::vector<unsigned char*> chunks;
std::size_t chunk = 0, used = 0;
constexpr std::size_t kChunk = 4u << 20;
void fill(unsigned char* p, int v, std::size_t n) {
    for (volatile unsigned char* q = p; n--; ++q) *q = static_cast<unsigned char>(v);
}
unsigned char* arena(std::size_t n) {
    n = (n + 63) & ~std::size_t(63);
    if (chunk == chunks.size() || used + n > kChunk) {
        if (chunk < chunks.size()) ++chunk;
        if (chunk == chunks.size())
            chunks.push_back(reinterpret_cast<unsigned char*>(syscall(
                SYS_mmap, nullptr, kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
        used = 0;
    }
    used += n;
    return chunks[chunk] + used - n;
}
#endif
unsigned char* guarded_alloc(std::size_t bytes) {
#if HX_TSAN
    unsigned char* p = arena(bytes + 2 * kCanary);
    fill(p, 0xa5, kCanary);
    fill(p + kCanary, 0xff, bytes);
    fill(p + kCanary + bytes, 0xa5, kCanary);
    return p + kCanary;
#elif HX_ASAN
    auto* p = static_cast<unsigned char*>(std::malloc(bytes ? bytes : 1));  // redzones are ASan's
    std::memset(p, 0xff, bytes);
    return p;
#else
    auto* p = static_cast<unsigned char*>(std::malloc(bytes + 2 * kCanary));
    std::memset(p, 0xa5, kCanary);
    std::memset(p + kCanary, 0xff, bytes);
    std::memset(p + kCanary + bytes, 0xa5, kCanary);
    return p + kCanary;
#endif
}
bool guarded_free(unsigned char* p, std::size_t bytes) {
#if HX_ASAN
    (void)bytes;
    std::free(p);
    return true;
#else
    bool ok = true;
    for (std::size_t i = 0; i < kCanary; ++i) ok &= p[i - kCanary] == 0xa5 && p[bytes + i] == 0xa5;
#if !HX_TSAN
    std::free(p - kCanary);
#endif
    return ok;
#endif
}

// Releases every group of threads whose rendezvous is complete; called when nothing is ready.
bool release(unsigned n) {
    unsigned at_bar = 0, done = 0;
    for (unsigned i = 0; i < n; ++i) {
        at_bar += pool[i]->state == State::at_barrier;
        done += pool[i]->state == State::done;
    }
    if (at_bar == n) {
        for (unsigned i = 1; i < n; ++i)
            if (pool[i]->line != pool[0]->line || std::strcmp(pool[i]->file, pool[0]->file)) {
                error = "divergent __syncthreads: " + name_of(*pool[0]) + " at " + where(*pool[0]) + ", " +
                        name_of(*pool[i]) + " at " + where(*pool[i]);
                return false;
            }
        ++the_stats.barriers;
        for (unsigned i = 0; i < n; ++i) {
            pool[i]->state = State::ready;
            ready.push_back(i);
        }
        return true;
    }
    bool any = false;
    for (unsigned i = 0; i < n; ++i) {
        Fiber& f = *pool[i];
        if (f.state != State::at_warp_op) continue;
        const unsigned base = i & ~31u;
        bool complete = true;
        for (unsigned l = 0; l < 32 && complete; ++l) {
            if (!(f.mask >> l & 1u)) continue;
            if (base + l >= n) {
                error = "warp operation names lane " + std::to_string(l) +
                        " that does not exist: " + name_of(f) + " at " + where(f);
                return false;
            }
            const Fiber& g = *pool[base + l];
            if (g.state == State::done) {
                error = "warp operation waits for an exited lane " + std::to_string(l) + ": " + name_of(f) +
                        " at " + where(f);
                return false;
            }
            if (g.state != State::at_warp_op) {
                complete = false;
                break;
            }
            if (g.mask != f.mask || g.op != f.op || g.line != f.line) {
                error = "warp operations do not match: " + name_of(f) + " at " + where(f) + ", " +
                        name_of(g) + " at " + where(g);
                return false;
            }
        }
        if (!complete) continue;
        std::uint64_t vote = 0, value[32];
        for (unsigned l = 0; l < 32; ++l)
            if (f.mask >> l & 1u) {
                value[l] = pool[base + l]->value;
                vote |= (value[l] & 1u) << l;
            }
        const unsigned mask = f.mask;
        const WarpOp op = f.op;
        for (unsigned l = 0; l < 32; ++l) {
            if (!(mask >> l & 1u)) continue;
            Fiber& g = *pool[base + l];
            if (op == WarpOp::ballot)
                g.value = vote;
            else if (op == WarpOp::shfl) {
                if (!(mask >> g.src & 1u)) {
                    error = "shuffle reads a lane outside its mask: " + name_of(g) + " at " + where(g);
                    return false;
                }
                g.value = value[g.src];
            }
            g.state = State::ready;
            ready.push_back(base + l);
        }
        ++the_stats.warp_ops;
        any = true;
    }
    if (any || done == n) return true;
    for (unsigned i = 0; i < n; ++i)
        if (pool[i]->state == State::at_barrier || pool[i]->state == State::at_warp_op) {
            error = std::string("deadlock, ") + std::to_string(done) + " of " + std::to_string(n) +
                    " threads have returned: " + name_of(*pool[i]) + " waits at " + where(*pool[i]);
            return false;
        }
    return true;
}
void run_block(uint3 b, unsigned n) {
    ready.clear();
    for (unsigned i = 0; i < n; ++i) {
        Fiber& f = *pool[i];
        f.block = b;
        f.linear = i;
        f.lane = i & 31u;
        f.state = State::ready;
        f.thread = {i % block_dim.x, i / block_dim.x % block_dim.y, i / (block_dim.x * block_dim.y)};
        f.barrier_phase = f.warp_phase = 0;  // fine: all fibers of the last block have finished
        ready.push_back(i);
    }
    ++the_stats.blocks;
    for (;;) {
        if (ready.empty() && (!release(n) || ready.empty())) break;
        const std::uint64_t seed = options().seed;
        std::size_t pick = 0;
        if (seed == 1)
            pick = static_cast<std::size_t>(std::max_element(ready.begin(), ready.end()) - ready.begin());
        else if (seed == 0)
            pick = static_cast<std::size_t>(std::min_element(ready.begin(), ready.end()) - ready.begin());
        else
            pick = rng() % ready.size();
        Fiber* f = pool[ready[pick]].get();
        ready[pick] = ready.back();
        ready.pop_back();
        to_fiber(f);
        if (!error.empty()) break;
        if (f->state == State::ready) ready.push_back(f->linear);  // it was preempted
    }
    for (auto& a : arrays)
        if (!guarded_free(a.raw, a.bytes) && error.empty())
            error = "write outside a shared array of " + std::to_string(a.bytes) + " bytes";
    arrays.clear();
}

// ---- device memory: unreadable for host code, guard page behind every allocation ----------------
struct Alloc {
    unsigned char* map;
    std::size_t map_bytes, bytes;
};
std::map<unsigned char*, Alloc> allocs;
bool device_open = false;
void device_access(bool open) {
    if (open == device_open) return;
    device_open = open;
    for (auto& [p, a] : allocs) {
#if HX_ASAN
        if (open)
            __asan_unpoison_memory_region(p, a.bytes);
        else
            __asan_poison_memory_region(p, a.bytes);
#else
        mprotect(a.map, a.map_bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
        (void)p;
#endif
    }
}
bool in_device(const void* q, std::size_t n) {
    auto* p = static_cast<unsigned char*>(const_cast<void*>(q));
    auto it = allocs.upper_bound(p);
    if (it == allocs.begin()) return false;
    --it;
    return p + n <= it->first + it->second.bytes;
}
cudaError_t last_error = cudaSuccess;
cudaError_t fail(cudaError_t e) {
    last_error = e;
    return e;
}
}  // namespace

struct Stream {
    std::deque<std::function<void()>> queue;
};
namespace {
Stream default_stream;
std::vector<Stream*> streams{&default_stream};
void drain(Stream* s) {
    while (!s->queue.empty()) {
        auto f = std::move(s->queue.front());
        s->queue.pop_front();
        f();
    }
}
void drain_all() {  // streams are unordered among each other: the seed decides
    for (;;) {
        std::vector<Stream*> busy;
        for (auto* s : streams)
            if (!s->queue.empty()) busy.push_back(s);
        if (busy.empty()) return;
        Stream* s = busy[options().seed > 1 ? rng() % busy.size() : 0];
        auto f = std::move(s->queue.front());
        s->queue.pop_front();
        f();
    }
}
void submit(Stream* s, std::function<void()> f) {
    if (!s) s = &default_stream;
    if (s == &default_stream)
        for (auto* o : streams)
            if (o != s) drain(o);  // legacy default stream
    s->queue.push_back(std::move(f));
    if (!options().async) drain(s);
}
}  // namespace

Options& options() {
    static Options o = [] {
        Options x;
        if (const char* s = std::getenv("HOSTEXEC_SEED")) x.seed = std::strtoull(s, nullptr, 10);
        if (const char* s = std::getenv("HOSTEXEC_ASYNC")) x.async = *s == '1';
        return x;
    }();
    return o;
}
Stats& stats() {
    return the_stats;
}

void block_barrier(int, const char* file, int line) {
    Fiber* f = current;
    char* tok = &tok_bar[f->barrier_phase++ & 1];
    f->file = file;
    f->line = line;
    f->state = State::at_barrier;
    hb_release(tok);
    to_scheduler();
    hb_acquire(tok);
}
std::uint64_t warp_op(WarpOp op,
                      unsigned mask,
                      std::uint64_t value,
                      unsigned src,
                      const char* file,
                      int line) {
    Fiber* f = current;
    if (!(mask >> f->lane & 1u)) {
        error = "lane not in its own mask: " + name_of(*f) + " at " + file + ":" + std::to_string(line);
        to_scheduler();
    }
    f->op = op;
    f->mask = mask;
    f->value = value;
    f->src = src;
    f->file = file;
    f->line = line;
    f->state = State::at_warp_op;
    char* tok = op == WarpOp::sync ? &tok_warp[f->linear / 32][f->warp_phase++ & 1]
                                   : nullptr;  // only __syncwarp orders memory
    if (tok) hb_release(tok);
    to_scheduler();
    if (tok) hb_acquire(tok);
    return f->value;
}
void atomic_point(const void*) {
    ++the_stats.atomics;
    if (options().seed > 1 && (rng() & 7u) == 0) to_scheduler();  // preempted; still State::ready
}
void* shared_array(const void* key, std::size_t bytes) {
    for (auto& a : arrays)
        if (a.key == key) return a.raw;
    arrays.push_back({key, guarded_alloc(bytes), bytes});
    return arrays.back().raw;
}
void* dynamic_shared() {
    return shared_array(&dyn_raw, dyn_bytes);
}
void check_pointer_argument(const void* p, int i, const char* name) {
    if (p && !in_device(p, 0))  // the end of an array is a pointer, too
        throw std::runtime_error(std::string(name) + ": argument " + std::to_string(i) +
                                 " is not a device pointer");
}
void launch(dim3 g, dim3 b, std::size_t sh, Stream* s, Kernel kernel) {
    const unsigned n = b.x * b.y * b.z;
    if (n == 0 || n > 1024 || b.z > 64 || g.x == 0 || g.y == 0 || g.z == 0 || g.y > 65535 || g.z > 65535 ||
        sh > max_dyn) {
        fail(cudaErrorInvalidConfiguration);
        return;
    }
    submit(s, [=] {
        recorder().launch(kernel, g, b, sh);
        ++the_stats.launches;
        rng_state = options().seed * 0x9e3779b97f4a7c15ull + 1;
        grid_dim = g;
        block_dim = b;
        dyn_bytes = sh;
        error.clear();
        while (pool.size() < n) {
            pool.push_back(std::make_unique<Fiber>());
            reset_fiber(*pool.back());
        }
        body = &kernel.body;
#if HX_TSAN
        sched_tsan = __tsan_get_current_fiber();
#endif
#if HX_TSAN
        chunk = used = 0;
#endif
        hb_release(&tok_launch);
        device_access(true);
        const std::uint64_t blocks = std::uint64_t(g.x) * g.y * g.z;
        for (std::uint64_t k = 0; k < blocks && error.empty(); ++k) {
            std::uint64_t q = options().seed == 0   ? k
                              : options().seed == 1 ? blocks - 1 - k
                                                    : (k * 7919u + options().seed) % blocks;
            if (options().seed > 1 && blocks % 7919u == 0) q = k;
            run_block({unsigned(q % g.x), unsigned(q / g.x % g.y), unsigned(q / g.x / g.y)}, n);
        }
        device_access(false);
        hb_acquire(&tok_end);
        if (!error.empty()) {
            for (auto& f : pool) reset_fiber(*f);  // threads stuck inside the kernel are abandoned
            throw std::runtime_error(std::string(kernel.name) + ": " + error);
        }
    });
}
}  // namespace hostexec

using namespace hostexec;
cudaError_t hx_set_max_dynamic_shared(std::size_t bytes) {
    if (bytes > 227 * 1024) return fail(cudaErrorInvalidValue);
    max_dyn = std::max(max_dyn, bytes);
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* n) {
    *n = 1;
    return cudaSuccess;
}
cudaError_t cudaMalloc(void** out, std::size_t bytes) {
    *out = nullptr;
    if (!bytes) return cudaSuccess;
    Alloc a{};
    a.bytes = bytes;
    unsigned char* p;
#if HX_ASAN
    p = static_cast<unsigned char*>(std::malloc(bytes));
    std::memset(p, 0xff, bytes);
    if (!device_open) __asan_poison_memory_region(p, bytes);
#else
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE)),
                      body_bytes = (bytes + page - 1) / page * page;
    a.map = static_cast<unsigned char*>(
        mmap(nullptr, body_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    a.map_bytes = body_bytes;
    mprotect(a.map + body_bytes, page, PROT_NONE);
    p = a.map + body_bytes - (bytes + 15) / 16 * 16;
    std::memset(a.map, 0xff, body_bytes);
    if (!device_open) mprotect(a.map, body_bytes, PROT_NONE);
#endif
    allocs[p] = a;
    recorder().allocate(p, bytes);
    *out = p;
    return cudaSuccess;
}
cudaError_t cudaFree(void* q) {
    if (!q) return cudaSuccess;
    drain_all();
    auto it = allocs.find(static_cast<unsigned char*>(q));
    if (it == allocs.end()) return fail(cudaErrorInvalidDevicePointer);
    recorder().free(q);
#if HX_ASAN
    __asan_unpoison_memory_region(q, it->second.bytes);
    std::free(q);
#else
    munmap(it->second.map, it->second.map_bytes);
#endif
    allocs.erase(it);
    return cudaSuccess;
}
static cudaError_t copy_check(const void* d, const void* s, std::size_t n, cudaMemcpyKind k) {
    const bool dd = in_device(d, n), sd = in_device(s, n);
    const bool want_d = k == cudaMemcpyHostToDevice || k == cudaMemcpyDeviceToDevice,
               want_s = k == cudaMemcpyDeviceToHost || k == cudaMemcpyDeviceToDevice;
    return k != cudaMemcpyDefault && n && (dd != want_d || sd != want_s) ? cudaErrorInvalidValue
                                                                         : cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* d, const void* s, std::size_t n, cudaMemcpyKind k, cudaStream_t st) {
    if (copy_check(d, s, n, k) != cudaSuccess) return fail(cudaErrorInvalidValue);
    submit(st, [=] {
        device_access(true);
        std::memcpy(d, s, n);
        if (k == cudaMemcpyHostToDevice) recorder().upload(d, s, n);
        if (k == cudaMemcpyDeviceToHost) recorder().download(s, d, n);
        if (k == cudaMemcpyDeviceToDevice) recorder().copy(d, s, n);
        device_access(false);
    });
    return cudaSuccess;
}
cudaError_t cudaMemcpy(void* d, const void* s, std::size_t n, cudaMemcpyKind k) {
    const cudaError_t e = cudaMemcpyAsync(d, s, n, k, nullptr);
    drain(&default_stream);
    return e;
}
cudaError_t cudaMemsetAsync(void* d, int v, std::size_t n, cudaStream_t st) {
    if (n && !in_device(d, n)) return fail(cudaErrorInvalidValue);
    submit(st, [=] {
        device_access(true);
        std::memset(d, v, n);
        recorder().fill(d, v, n);
        device_access(false);
    });
    return cudaSuccess;
}
cudaError_t cudaMemset(void* d, int v, std::size_t n) {
    const cudaError_t e = cudaMemsetAsync(d, v, n, nullptr);
    drain(&default_stream);
    return e;
}
cudaError_t cudaStreamCreate(cudaStream_t* s) {
    *s = new Stream;
    streams.push_back(*s);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    drain(s);
    streams.erase(std::find(streams.begin(), streams.end(), s));
    delete s;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    drain(s ? s : &default_stream);
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    drain_all();
    return cudaSuccess;
}
cudaError_t cudaGetLastError() {
    const cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}
const char* cudaGetErrorString(cudaError_t e) {
    return e == cudaSuccess                     ? "no error"
           : e == cudaErrorInvalidConfiguration ? "invalid configuration argument"
           : e == cudaErrorInvalidValue         ? "invalid argument"
                                                : "error";
}
