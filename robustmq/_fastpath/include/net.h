/* What a connection asks of its socket. Every function restarts after EINTR. */
#ifndef ROBUSTMQ_NET_H
#define ROBUSTMQ_NET_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* accept4 */
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A new connection, non-blocking, or -1 with errno. */
static inline int net_accept(int listener) {
    int fd;
#ifdef __linux__
    do fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
#else
    do fd = accept(listener, NULL, NULL);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
#endif
    return fd;
}

/* Small answers leave at once: the reactor batches by itself. Fails quietly on a socket that is not TCP. */
static inline void net_no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline ssize_t net_read(int fd, void *to, size_t n) {
    ssize_t got;
    do got = recv(fd, to, n, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static inline void net_end_output(int fd) { shutdown(fd, SHUT_WR); }

static inline int64_t clock_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
