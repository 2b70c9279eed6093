/* The CUDA runtime and cuBLAS for tests, in one library: "GPU" memory is ordinary memory, products are plain loops, every call is written
   down. What the real ones refuse is refused: leading dimensions that are too small, memory that was not taken or is too short (where one
   loaded library is both).

       gcc -shared -fPIC -O2 -o cuda-stub.so cuda_stub.c

   stub_fail makes a function return a status from then on; stub_calls is the list of calls since stub_reset, a line each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 64
static char calls[1 << 16];
static struct { char *at; size_t bytes; } taken[MOST];
static char failing[64];
static int failure;

static void called(const char *what) {
    if (strlen(calls) + strlen(what) + 2 < sizeof calls) { strcat(calls, what); strcat(calls, "\n"); }
}

static int status(const char *function) { return strcmp(failing, function) == 0 ? failure : 0; }

/* How many bytes from here to the end of the memory that this lies in. */
static size_t left(const void *at) {
    for (int i = 0; i < MOST; i++)
        if (taken[i].at && (char *)at >= taken[i].at && (char *)at < taken[i].at + taken[i].bytes)
            return taken[i].at + taken[i].bytes - (char *)at;
    return 0;
}

void stub_reset(void) { calls[0] = 0; failing[0] = 0; }
void stub_fail(const char *function, int with) { strncpy(failing, function, sizeof failing - 1); failure = with; }
const char *stub_calls(void) { return calls; }
int stub_taken(void) { int n = 0; for (int i = 0; i < MOST; i++) n += taken[i].at != 0; return n; }

int cudaGetDeviceCount(int *count) { *count = 1; return status("cudaGetDeviceCount"); }
int cudaSetDevice(int device) { return device ? 101 : status("cudaSetDevice"); }
int cudaGetDeviceProperties(void *properties, int device) { strcpy(properties, "Stub GPU"); return device ? 101 : 0; }
int cudaDriverGetVersion(int *version) { *version = 13020; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13010; return 0; }
const char *cudaGetErrorString(int error) {
    return error == 2 ? "out of memory" : error == 1 ? "invalid argument" : "unspecified launch failure";
}

int cudaMalloc(void **at, size_t bytes) {
    char text[64];
    sprintf(text, "malloc %zu", bytes);
    called(text);
    if (status("cudaMalloc")) return status("cudaMalloc");
    if (bytes > (1u << 30)) return 2;
    for (int i = 0; i < MOST; i++)
        if (!taken[i].at) {
            taken[i].at = malloc(bytes);
            memset(taken[i].at, 255, bytes); /* a NaN in every place */
            taken[i].bytes = bytes;
            *at = taken[i].at;
            return 0;
        }
    return 2;
}

int cudaFree(void *at) {
    called("free");
    for (int i = 0; i < MOST; i++)
        if (taken[i].at == at) { free(at); taken[i].at = 0; return 0; }
    return 1;
}

int cudaMemcpy(void *to, const void *from, size_t bytes, int kind) {
    char text[64];
    sprintf(text, "%s %zu", kind == 1 ? "in" : kind == 2 ? "out" : "copy?", bytes);
    called(text);
    if (status("cudaMemcpy")) return status("cudaMemcpy");
    if (kind != 1 && kind != 2) return 21;
    if (left(kind == 1 ? to : from) < bytes) return 1;
    memcpy(to, from, bytes);
    return 0;
}

int cublasCreate_v2(void **handle) { called("create"); *handle = (void *)0x1234; return status("cublasCreate_v2"); }
int cublasDestroy_v2(void *handle) { called("destroy"); return handle == (void *)0x1234 ? 0 : 1; }
int cublasSetMathMode(void *handle, int mode) {
    char text[64];
    sprintf(text, "mode %d", mode);
    called(text);
    return handle == (void *)0x1234 ? 0 : 1;
}
const char *cublasGetStatusString(int code) {
    return code == 7 ? "CUBLAS_STATUS_INVALID_VALUE" : code == 14 ? "CUBLAS_STATUS_INTERNAL_ERROR" : "CUBLAS_STATUS_EXECUTION_FAILED";
}

#define GEMM(NAME, T) \
    int NAME(void *handle, int ta, int tb, int m, int n, int k, const T *alpha, const T *a, int lda, const T *b, int ldb, \
             const T *beta, T *c, int ldc) { \
        char text[160]; \
        sprintf(text, #NAME " %d %d %d %d %d alpha %g lda %d ldb %d beta %g ldc %d", \
                ta, tb, m, n, k, (double)*alpha, lda, ldb, (double)*beta, ldc); \
        called(text); \
        if (status(#NAME)) return status(#NAME); \
        if (handle != (void *)0x1234) return 1; \
        if (ta < 0 || ta > 1 || tb < 0 || tb > 1 || m < 0 || n < 0 || k < 0) return 7; \
        if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return 7; \
        if (stub_taken() > 0 && (left(a) < sizeof(T) * lda * (ta ? m : k) || left(b) < sizeof(T) * ldb * (tb ? k : n) \
                                 || left(c) < sizeof(T) * ldc * n)) return 14; \
        for (int j = 0; j < n; j++) \
            for (int i = 0; i < m; i++) { \
                double sum = 0; \
                for (int l = 0; l < k && *alpha != 0; l++) \
                    sum += (double)a[ta ? l + (size_t)i * lda : i + (size_t)l * lda] \
                        * b[tb ? j + (size_t)l * ldb : l + (size_t)j * ldb]; \
                T *out = c + i + (size_t)j * ldc; \
                *out = (T)(*alpha * sum + (*beta == 0 ? 0 : *beta * (double)*out)); \
            } \
        return 0; \
    }

GEMM(cublasSgemm_v2, float)
GEMM(cublasDgemm_v2, double)
