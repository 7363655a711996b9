/* What the stores ask of the operating system, where systems differ or Cython has no name for it. */
#ifndef ROBUSTMQ_PLATFORM_H
#define ROBUSTMQ_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#else
#include <sys/prctl.h>
#endif

static inline int64_t clock_monotonic_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t clock_wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline uint32_t random_u32(void) {
    uint32_t v = 0;
    if (getentropy(&v, sizeof v) != 0) v = (uint32_t)clock_monotonic_ns() * 2654435761u;
    return v;
}

static inline void set_errno(int e) { errno = e; }

static inline int64_t file_size(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 ? (int64_t)s.st_size : -1;
}

/* All n bytes at `at`. 0 or errno. */
static inline int file_write(int fd, const uint8_t *data, uint64_t n, uint64_t at) {
    while (n > 0) {
        ssize_t done = pwrite(fd, data, n, (off_t)at);
        if (done < 0) {
            if (errno == EINTR) continue;
            return errno;
        }
        data += done;
        n -= (uint64_t)done;
        at += (uint64_t)done;
    }
    return 0;
}

/* What was written to a file is on the disk, and not only in the disk's own memory. 0, or -1 with errno. */
static inline int file_sync(int fd) {
#if defined(__APPLE__)
    return fcntl(fd, F_FULLFSYNC) == -1 ? fsync(fd) : 0;
#else
    return fdatasync(fd);
#endif
}

/* Begin to write a range back, so that a later sync has little left to do. Best effort. */
static inline void file_write_back(int fd, uint64_t at, uint64_t n) {
#if defined(__linux__)
    (void)sync_file_range(fd, (off_t)at, (off_t)n, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd, (void)at, (void)n;
#endif
}

/* Give [0, size) of the file real blocks, so that a store into its mapping cannot fail for want of space. 0 or errno. */
static inline int file_preallocate(int fd, uint64_t size) {
#if defined(__linux__)
    while (fallocate(fd, 0, 0, (off_t)size) != 0) {
        if (errno == EINTR) continue;
        if (errno != EOPNOTSUPP) return errno;
        return posix_fallocate(fd, 0, (off_t)size);
    }
    return 0;
#else
    fstore_t store = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, (off_t)size, 0};
    if (fcntl(fd, F_PREALLOCATE, &store) == -1) return errno;
    return ftruncate(fd, (off_t)size) == 0 ? 0 : errno;
#endif
}

/* Make [offset, offset + n) read as zeroes without writing them, where the file system can; else write them. */
static inline int file_zero(int fd, uint8_t *mapping, uint64_t offset, uint64_t n) {
#if defined(__linux__) && defined(FALLOC_FL_ZERO_RANGE)
    uint64_t page = 4096, head = (page - offset % page) % page;
    if (head > n) head = n;
    memset(mapping + offset, 0, head);
    if (n == head || fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)(offset + head), (off_t)(n - head)) == 0) return 0;
#endif
    (void)fd;
    memset(mapping + offset, 0, n);
    return 0;
}

/* The whole pages around [p, p + n): their bytes, from `*from` on. */
static inline size_t memory_pages(const uint8_t *p, uint64_t n, void **from) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)p & ~(page - 1);
    *from = (void *)first;
    return (((uintptr_t)p + n + page - 1) & ~(page - 1)) - first;
}

/* A stretch of a mapping of `fd` is on the disk. 0, or -1 with errno. */
static inline int memory_sync(uint8_t *p, uint64_t n, int fd) {
    void *from;
    size_t bytes = memory_pages(p, n, &from);
    if (msync(from, bytes, MS_SYNC) != 0) return -1;
#if defined(__APPLE__)
    return file_sync(fd);               /* msync ends at the disk's own memory there */
#else
    (void)fd;
    return 0;
#endif
}

/* Fault pages in for writing, ahead of whoever appends. Best effort; 0, or EFAULT: a store there would be a SIGBUS. */
static inline int memory_prefault(uint8_t *p, uint64_t n) {
#if defined(MADV_POPULATE_WRITE)
    if (madvise(p, n, MADV_POPULATE_WRITE) != 0 && errno == EFAULT) return EFAULT;
#endif
    (void)p;
    (void)n;
    return 0;
}

/* Look at a byte of each page: what cannot be read is found out now (stores/guard.pxd). */
static inline void memory_touch(const uint8_t *p, uint64_t n) {
    for (uint64_t at = 0; at < n; at += 4096) (void)*(const volatile uint8_t *)(p + at);
    if (n) (void)*(const volatile uint8_t *)(p + n - 1);
}

/* Begin to load a cache line that is needed soon. */
static inline void memory_prefetch(const void *p) { __builtin_prefetch(p); }

/* Ask for huge pages: 512 faults and page-table entries become one. A hint. */
static inline void memory_huge(uint8_t *p, uint64_t n) {
#if defined(MADV_HUGEPAGE)
    (void)madvise(p, n, MADV_HUGEPAGE);
#endif
    (void)p;
    (void)n;
}

/* Forget this process's view of the file pages that lie whole in [p, p + n) or end it (they stay in the page cache). */
static inline void memory_forget(uint8_t *p, uint64_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)p + page - 1) & ~(page - 1);
    if (first < (uintptr_t)p + n) (void)madvise((void *)first, (uintptr_t)p + n - first, MADV_DONTNEED);
}

/* Whether all of [p, p + n) of a file mapping is in memory; n up to 4 MiB. */
static inline int memory_resident(const uint8_t *p, uint64_t n) {
    unsigned char pages[1025];
    void *from;
    size_t bytes = memory_pages(p, n, &from), count = bytes / (size_t)sysconf(_SC_PAGESIZE);
    if (count > sizeof pages || mincore(from, bytes, (void *)pages) != 0) return 0;
    for (size_t i = 0; i < count; i++)
        if (!(pages[i] & 1)) return 0;
    return 1;
}

/* Have the disk begin to read a stretch of a file mapping. Waits when the disk has very much to do. Piece by piece: of one
 * call Linux reads no more than its read-ahead, 128 KiB unless somebody has chosen more. */
static inline void memory_want(const uint8_t *p, uint64_t n) {
    const size_t most = 128 << 10;
    void *from;
    size_t bytes = memory_pages(p, n, &from);
    for (size_t at = 0; at < bytes; at += most)
        (void)madvise((uint8_t *)from + at, bytes - at < most ? bytes - at : most, MADV_WILLNEED);
}

/* Bring a file mapping into memory, waiting for the disk. 0 or errno: it cannot be read. */
static inline int memory_load(const uint8_t *p, uint64_t n) {
#if defined(MADV_POPULATE_READ)
    void *from;
    size_t bytes = memory_pages(p, n, &from);
    while (madvise(from, bytes, MADV_POPULATE_READ) != 0) {
        if (errno == EAGAIN || errno == EINTR) continue;
        if (errno != EINVAL && errno != ENOSYS) return errno;
        memory_want(p, n);              /* an older kernel: read-ahead is all there is */
        break;
    }
#else
    memory_want(p, n);
#endif
    return 0;
}

/* fsync a directory, so that a new name in it survives power loss. 0 or errno. */
static inline int directory_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return failed;
}

/* A counting wake-up for one sleeping thread: wake() is one system call at most, and only when the other sleeps. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int rung;
} waker_t;

static inline void waker_init(waker_t *w) {
    pthread_condattr_t steady;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&steady);
#if !defined(__APPLE__)
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);    /* a wall clock that is set must not stretch a wait */
#endif
    pthread_cond_init(&w->cond, &steady);
    pthread_condattr_destroy(&steady);
    w->rung = 0;
}
static inline void waker_destroy(waker_t *w) {
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->lock);
}
static inline void waker_ring(waker_t *w) {
    pthread_mutex_lock(&w->lock);
    if (!w->rung) {
        w->rung = 1;
        pthread_cond_signal(&w->cond);
    }
    pthread_mutex_unlock(&w->lock);
}
static inline void waker_wait(waker_t *w) {
    pthread_mutex_lock(&w->lock);
    while (!w->rung) pthread_cond_wait(&w->cond, &w->lock);
    w->rung = 0;
    pthread_mutex_unlock(&w->lock);
}

/* Until rung, `ns` at most. */
static inline void waker_wait_ns(waker_t *w, int64_t ns) {
    struct timespec until;
#if defined(__APPLE__)
    clock_gettime(CLOCK_REALTIME, &until);
#else
    clock_gettime(CLOCK_MONOTONIC, &until);
#endif
    until.tv_sec += ns / 1000000000;
    until.tv_nsec += ns % 1000000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec += 1;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&w->lock);
    while (!w->rung && pthread_cond_timedwait(&w->cond, &w->lock, &until) == 0) {}
    w->rung = 0;
    pthread_mutex_unlock(&w->lock);
}

/* A thread of our own that runs `entry(arg)`; SIGTERM and friends stay with the main thread, faults are the thread's own: one
 * that is blocked kills the process, whatever its handler. 0 or errno. */
static inline int thread_start(pthread_t *thread, void *(*entry)(void *), void *arg) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, entry, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

/* What the calling thread is called in `top -H` and in debuggers; 15 bytes at most. */
static inline void thread_name(const char *name) {
#ifdef __APPLE__
    pthread_setname_np(name);
#else
    prctl(PR_SET_NAME, name);
#endif
}

#endif
