/* Five functions over epoll or kqueue: open, add, remove, wait, close.
 *
 * A watch is either level-triggered for reading (listeners, bells) or edge-triggered for reading and writing
 * (connections: one system call at their birth, none when they park, pause or fill up). */
#ifndef ROBUSTMQ_POLLER_H
#define ROBUSTMQ_POLLER_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define POLLER_BATCH 256

enum { READY_READ = 1, READY_WRITE = 2, READY_END = 4, READY_ERROR = 8 };  /* END: the peer sent its FIN */
enum { WATCH_LEVEL_READ = 0, WATCH_EDGES = 1 };

struct poller_event {
    uint64_t tag;
    uint32_t ready;
};

#ifdef __linux__
#include <sys/epoll.h>

static inline int poller_open(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int poller_add(int poller, int fd, uint64_t tag, int watch) {
    struct epoll_event event = {0};
    event.events = watch == WATCH_EDGES ? EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET : EPOLLIN;
    event.data.u64 = tag;
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static inline int poller_remove(int poller, int fd) { return epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL); }

/* At most POLLER_BATCH events; `timeout_ns` -1 waits for ever, and is rounded up to milliseconds. */
static inline int poller_wait(int poller, struct poller_event *events, int64_t timeout_ns) {
    struct epoll_event raw[POLLER_BATCH];
    int64_t timeout_ms = timeout_ns < 0 ? -1 : (timeout_ns + 999999) / 1000000;
    int n = epoll_wait(poller, raw, POLLER_BATCH, timeout_ms > 1 << 30 ? 1 << 30 : (int)timeout_ms);
    for (int i = 0; i < n; i++) {
        uint32_t e = raw[i].events;
        events[i].tag = raw[i].data.u64;
        events[i].ready = (e & EPOLLIN ? READY_READ : 0) | (e & EPOLLOUT ? READY_WRITE : 0)
                        | (e & EPOLLRDHUP ? READY_END : 0) | (e & (EPOLLERR | EPOLLHUP) ? READY_ERROR : 0);
    }
    return n < 0 ? 0 : n;
}
#else
#include <sys/event.h>
#include <time.h>

static inline int poller_open(void) { return kqueue(); }

static inline int poller_add(int poller, int fd, uint64_t tag, int watch) {
    struct kevent changes[2];
    unsigned flags = EV_ADD | (watch == WATCH_EDGES ? EV_CLEAR : 0);
    EV_SET(&changes[0], fd, EVFILT_READ, flags, 0, 0, (void *)(uintptr_t)tag);
    EV_SET(&changes[1], fd, EVFILT_WRITE, flags, 0, 0, (void *)(uintptr_t)tag);
    return kevent(poller, changes, watch == WATCH_EDGES ? 2 : 1, NULL, 0, NULL);
}

static inline int poller_remove(int poller, int fd) {
    struct kevent changes[2];
    EV_SET(&changes[0], fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    EV_SET(&changes[1], fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
    kevent(poller, &changes[0], 1, NULL, 0, NULL);
    kevent(poller, &changes[1], 1, NULL, 0, NULL);
    return 0;
}

static inline int poller_wait(int poller, struct poller_event *events, int64_t timeout_ns) {
    struct kevent raw[POLLER_BATCH];
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int n = kevent(poller, NULL, 0, raw, POLLER_BATCH, timeout_ns < 0 ? NULL : &timeout);
    for (int i = 0; i < n; i++) {
        events[i].tag = (uint64_t)(uintptr_t)raw[i].udata;
        events[i].ready = (raw[i].filter == EVFILT_READ ? READY_READ : READY_WRITE)
                        | (raw[i].flags & EV_EOF ? (raw[i].filter == EVFILT_READ ? READY_END : READY_ERROR) : 0);
    }
    return n < 0 ? 0 : n;
}
#endif

static inline void poller_close(int poller) { close(poller); }

#endif
