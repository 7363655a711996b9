"""The operating system, as the stores see it (include/platform.h)."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "platform.h" nogil:
    int64_t clock_monotonic_ns()
    int64_t clock_wall_ms()
    uint32_t random_u32()

    void set_errno(int e)
    int64_t file_size(int fd)
    int file_preallocate(int fd, uint64_t size)
    int file_zero(int fd, uint8_t* mapping, uint64_t offset, uint64_t n)
    int memory_prefault(uint8_t* p, uint64_t n)
    void memory_touch(const uint8_t* p, uint64_t n)
    void memory_prefetch(const void* p)
    void memory_huge(uint8_t* p, uint64_t n)
    void memory_forget(uint8_t* p, uint64_t n)
    bint memory_resident(const uint8_t* p, uint64_t n)
    void memory_want(const uint8_t* p, uint64_t n)
    int memory_load(const uint8_t* p, uint64_t n)
    int directory_sync(const char* path)

    ctypedef struct waker_t:
        pass
    void waker_init(waker_t* w)
    void waker_destroy(waker_t* w)
    void waker_ring(waker_t* w)
    void waker_wait(waker_t* w)
    void waker_wait_ns(waker_t* w, int64_t ns)

    ctypedef struct pthread_t:
        pass
    void thread_name(const char* name)
    int thread_start(pthread_t* thread, void* (*entry)(void*) noexcept nogil, void* arg)
    int pthread_join(pthread_t thread, void** result)

    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* lock, void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* lock)
    int pthread_mutex_lock(pthread_mutex_t* lock)
    int pthread_mutex_trylock(pthread_mutex_t* lock)
    int pthread_mutex_unlock(pthread_mutex_t* lock)

    ctypedef struct pthread_cond_t:
        pass
    int pthread_cond_init(pthread_cond_t* cond, void* attributes)
    int pthread_cond_destroy(pthread_cond_t* cond)
    int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* lock)
    int pthread_cond_broadcast(pthread_cond_t* cond)

    int madvise(void* at, size_t n, int advice)
    int MADV_NORMAL, MADV_RANDOM
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS
    void* MAP_FAILED
    void* mmap(void* at, size_t n, int protection, int flags, int fd, int64_t offset)
    int munmap(void* at, size_t n)
    int memory_sync(uint8_t* at, uint64_t n, int fd)

    int O_RDONLY, O_RDWR, O_TRUNC, O_CREAT, O_CLOEXEC, O_EXCL
    int open(const char* path, int flags, int mode)
    int close(int fd)
    int file_sync(int fd)
    int file_write(int fd, const uint8_t* data, uint64_t n, uint64_t at)
    void file_write_back(int fd, uint64_t at, uint64_t n)
    int unlink(const char* path)
    int rename(const char* old, const char* new)
