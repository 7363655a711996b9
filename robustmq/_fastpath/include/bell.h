/* A file descriptor that one thread rings to end another's wait: an eventfd, or a pipe where there is none. */
#ifndef ROBUSTMQ_BELL_H
#define ROBUSTMQ_BELL_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>

/* 0, or -1 with errno. */
static inline int bell_open(int *wait_fd, int *ring_fd) {
    *wait_fd = *ring_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return *wait_fd < 0 ? -1 : 0;
}
#else
static inline int bell_open(int *wait_fd, int *ring_fd) {
    int ends[2];
    if (pipe(ends) < 0) return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    }
    *wait_fd = ends[0];
    *ring_fd = ends[1];
    return 0;
}
#endif

static inline void bell_close(int wait_fd, int ring_fd) {
    if (wait_fd >= 0) close(wait_fd);
    if (ring_fd >= 0 && ring_fd != wait_fd) close(ring_fd);
}

/* A full pipe or counter is already rung. */
static inline void bell_ring(int ring_fd) {
    uint64_t one = 1;
    while (write(ring_fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

static inline void bell_quiet(int wait_fd) {
    uint64_t buffer[8];
    while (read(wait_fd, buffer, sizeof buffer) < 0 && errno == EINTR) {}
}

#endif
