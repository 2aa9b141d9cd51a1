/* A stand-in for the NVIDIA driver (libcuda.so) on machines without a GPU: memory is the host's, and kernels are not run.
 *
 * What is real with it: every kernel is generated and compiled by NVRTC for the architecture that it claims to be, and the
 * host does all that it does in a step, so that kernels can be compiled, and launches, copies and waits be counted. What
 * is not: numbers. Buffers stay as they were.
 *
 *   DUALK_DRIVER_ARCH  compute capability to claim, such as 90; default 90
 *   DUALK_DRIVER_PTX   folder for the PTX of every kernel, NAME.ptx
 *   DUALK_DRIVER_LOG   file for one line at exit: launches, copies to the device, to the host, waits; and a line a kernel
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>

typedef int CUresult;
typedef uint64_t CUdeviceptr;
enum { CUDA_SUCCESS = 0, CUDA_ERROR_OUT_OF_MEMORY = 2, CUDA_ERROR_NOT_SUPPORTED = 801 };

#define EXPORT __attribute__((visibility("default")))
#define OK(signature) EXPORT CUresult signature { return CUDA_SUCCESS; }

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t launches, to_device, to_host, inside, waits;

struct kernel {
    struct kernel *next;
    char *name;
    uint64_t launches;
};
static struct kernel *kernels;

static int arch(void) {
    const char *text = getenv("DUALK_DRIVER_ARCH");
    return text ? atoi(text) : 90;
}

static void report(void) {
    const char *path = getenv("DUALK_DRIVER_LOG");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "launches %lu to_device %lu to_host %lu inside %lu waits %lu\n", launches, to_device, to_host, inside, waits);
    for (struct kernel *k = kernels; k; k = k->next) fprintf(file, "%lu %s\n", k->launches, k->name);
    fclose(file);
}

static void count(uint64_t *number) {
    pthread_mutex_lock(&lock);
    ++*number;
    pthread_mutex_unlock(&lock);
}

EXPORT CUresult cuInit(unsigned flags) {
    (void)flags;
    static int once;
    pthread_mutex_lock(&lock);
    if (!once++) atexit(report);
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int *version) { *version = 13000; return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetCount(int *count) { *count = 1; return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGet(int *device, int ordinal) { *device = ordinal; return CUDA_SUCCESS; }

EXPORT CUresult cuDeviceGetName(char *name, int length, int device) {
    (void)device;
    snprintf(name, length, "stand-in sm_%d", arch());
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    switch (attribute) {
    case 1: case 2: case 3: *value = 1024; break;      /* threads of a block */
    case 4: *value = 64; break;
    case 5: *value = 2147483647; break;                /* blocks of a grid */
    case 6: case 7: *value = 65535; break;
    case 8: *value = 48 * 1024; break;                 /* shared memory of a block */
    case 10: *value = 32; break;                       /* threads of a warp */
    case 16: *value = 132; break;                      /* multiprocessors */
    case 75: *value = arch() / 10; break;
    case 76: *value = arch() % 10; break;
    case 97: *value = (arch() >= 90 ? 227 : arch() >= 80 ? 163 : 64) * 1024; break; /* shared memory that can be asked for */
    case 33: case 34: case 50: *value = 0; break;      /* place on the bus */
    default: *value = 1;
    }
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)8 << 30; return CUDA_SUCCESS; }
EXPORT CUresult cuMemGetInfo_v2(size_t *available, size_t *all) { *available = *all = (size_t)8 << 30; return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetPCIBusId(char *id, int length, int device) { (void)device; snprintf(id, length, "0000:00:00.0"); return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetUuid(char *uuid, int device) { (void)device; memset(uuid, 0, 16); return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetUuid_v2(char *uuid, int device) { return cuDeviceGetUuid(uuid, device); }
EXPORT CUresult cuDeviceCanAccessPeer(int *can, int a, int b) { (void)a; (void)b; *can = 0; return CUDA_SUCCESS; }

static int context;
EXPORT CUresult cuDevicePrimaryCtxRetain(void **ctx, int device) { (void)device; *ctx = &context; return CUDA_SUCCESS; }
OK(cuDevicePrimaryCtxRelease_v2(int device))
OK(cuCtxSetCurrent(void *ctx))
EXPORT CUresult cuCtxGetCurrent(void **ctx) { *ctx = &context; return CUDA_SUCCESS; }
EXPORT CUresult cuCtxGetDevice(int *device) { *device = 0; return CUDA_SUCCESS; }
EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = *greatest = 0; return CUDA_SUCCESS; }
EXPORT CUresult cuCtxSynchronize(void) { count(&waits); return CUDA_SUCCESS; }

EXPORT CUresult cuStreamCreate(void **stream, unsigned flags) { (void)flags; *stream = malloc(1); return CUDA_SUCCESS; }
EXPORT CUresult cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { (void)priority; return cuStreamCreate(stream, flags); }
EXPORT CUresult cuStreamDestroy_v2(void *stream) { free(stream); return CUDA_SUCCESS; }
EXPORT CUresult cuStreamSynchronize(void *stream) { (void)stream; count(&waits); return CUDA_SUCCESS; }
OK(cuStreamQuery(void *stream))
OK(cuStreamWaitEvent(void *stream, void *event, unsigned flags))
/* Time passes with launches alone, and each launch of a kernel takes longer than the one before: whoever repeats a kernel, or
 * lets it do more and more, until it has taken a while comes to an end soon. */
static double milliseconds;
EXPORT CUresult cuEventCreate(void **event, unsigned flags) { (void)flags; *event = calloc(1, sizeof(double)); return CUDA_SUCCESS; }
EXPORT CUresult cuEventRecord(void *event, void *stream) { (void)stream; *(double *)event = milliseconds; return CUDA_SUCCESS; }
EXPORT CUresult cuEventSynchronize(void *event) { (void)event; count(&waits); return CUDA_SUCCESS; }
OK(cuEventQuery(void *event))
EXPORT CUresult cuEventElapsedTime(float *ms, void *a, void *b) { *ms = (float)(*(double *)b - *(double *)a); return CUDA_SUCCESS; }
EXPORT CUresult cuEventElapsedTime_v2(float *ms, void *a, void *b) { return cuEventElapsedTime(ms, a, b); }
EXPORT CUresult cuEventDestroy_v2(void *event) { free(event); return CUDA_SUCCESS; }

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) {
    void *block;
    if (posix_memalign(&block, 512, bytes ? bytes : 1)) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(block, 0, bytes);
    *pointer = (CUdeviceptr)block;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t bytes, void *stream) { (void)stream; return cuMemAlloc_v2(pointer, bytes); }
EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer) { free((void *)pointer); return CUDA_SUCCESS; }
EXPORT CUresult cuMemFreeAsync(CUdeviceptr pointer, void *stream) { (void)stream; return cuMemFree_v2(pointer); }
EXPORT CUresult cuMemAllocHost_v2(void **pointer, size_t bytes) { *pointer = calloc(1, bytes ? bytes : 1); return CUDA_SUCCESS; }
EXPORT CUresult cuMemFreeHost(void *pointer) { free(pointer); return CUDA_SUCCESS; }

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) { count(&to_device); memcpy((void *)to, from, bytes); return CUDA_SUCCESS; }
EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, void *stream) { (void)stream; return cuMemcpyHtoD_v2(to, from, bytes); }
EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) { count(&to_host); memcpy(to, (void *)from, bytes); return CUDA_SUCCESS; }
EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, void *stream) { (void)stream; return cuMemcpyDtoH_v2(to, from, bytes); }
EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) { count(&inside); memmove((void *)to, (void *)from, bytes); return CUDA_SUCCESS; }
EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void *stream) { (void)stream; return cuMemcpyDtoD_v2(to, from, bytes); }
EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes) { memset((void *)to, value, bytes); return CUDA_SUCCESS; }
EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, void *stream) { (void)stream; return cuMemsetD8_v2(to, value, bytes); }

struct copy_2d {
    size_t from_x, from_y;
    int from_type;
    const char *from_host;
    CUdeviceptr from_device;
    void *from_array;
    size_t from_pitch, to_x, to_y;
    int to_type;
    char *to_host;
    CUdeviceptr to_device;
    void *to_array;
    size_t to_pitch, width, height;
};

EXPORT CUresult cuMemcpy2DAsync_v2(const struct copy_2d *copy, void *stream) {
    (void)stream;
    const char *from = copy->from_type == 1 ? copy->from_host : (const char *)copy->from_device;
    char *to = copy->to_type == 1 ? copy->to_host : (char *)copy->to_device;
    count(copy->to_type == 1 ? &to_host : copy->from_type == 1 ? &to_device : &inside);
    size_t from_pitch = copy->from_pitch ? copy->from_pitch : copy->width;
    size_t to_pitch = copy->to_pitch ? copy->to_pitch : copy->width;
    for (size_t y = 0; y < copy->height; y++)
        memcpy(to + (copy->to_y + y) * to_pitch + copy->to_x, from + (copy->from_y + y) * from_pitch + copy->from_x, copy->width);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadData(void **module, const void *image) { *module = strdup(image); return CUDA_SUCCESS; }
EXPORT CUresult cuModuleUnload(void *module) { free(module); return CUDA_SUCCESS; }

EXPORT CUresult cuModuleGetFunction(void **function, void *module, const char *name) {
    static unsigned number;
    struct kernel *kernel = calloc(1, sizeof *kernel);
    const char *folder = getenv("DUALK_DRIVER_PTX");
    pthread_mutex_lock(&lock);
    unsigned own = number++;
    kernel->name = strdup(name);
    kernel->next = kernels;
    kernels = kernel;
    pthread_mutex_unlock(&lock);
    if (folder) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%04u-%.200s.ptx", folder, own, name);
        FILE *file = fopen(path, "w");
        if (file) {
            fputs(module, file);
            fclose(file);
        }
    }
    *function = kernel;
    return CUDA_SUCCESS;
}

OK(cuFuncSetAttribute(void *function, int attribute, int value))
EXPORT CUresult cuFuncGetAttribute(int *value, int attribute, void *function) { (void)attribute; (void)function; *value = 0; return CUDA_SUCCESS; }

EXPORT CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                               unsigned shared, void *stream, void **parameters, void **extra) {
    (void)gx; (void)gy; (void)gz; (void)bx; (void)by; (void)bz; (void)shared; (void)stream; (void)parameters; (void)extra;
    pthread_mutex_lock(&lock);
    launches++;
    uint64_t before = ((struct kernel *)function)->launches;
    milliseconds += before < 11 ? 0.01 * (1 << before) : 20.0;
    int probe = strstr(((struct kernel *)function)->name, "throughput") != NULL;
    ((struct kernel *)function)->launches++;
    pthread_mutex_unlock(&lock);
    /* Probes of the device's speed go by the clock of the host, and by how much they were asked to do. */
    if (probe) usleep(20000);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult error, const char **name) { (void)error; *name = "stand-in"; return CUDA_SUCCESS; }
EXPORT CUresult cuGetErrorString(CUresult error, const char **text) { (void)error; *text = "an error of the stand-in for the driver"; return CUDA_SUCCESS; }
EXPORT CUresult cuStreamBeginCapture_v2(void *stream, int mode) { (void)stream; (void)mode; return CUDA_ERROR_NOT_SUPPORTED; }
EXPORT CUresult cuStreamIsCapturing(void *stream, int *status) { (void)stream; *status = 0; return CUDA_SUCCESS; }
