/* The signal behind stores/guard.pxd. Included by guard.pyx alone, whose state this is.
 *
 *     chunk -> chunk -> ...       each GUARD_CHUNK ranges; never freed, so that a handler may walk them
 *
 * A range is written under `guard_lock` between two steps of its `version`, which is odd meanwhile; the handler, which takes no
 * lock, passes over a range whose version is odd or has moved. The range of who faults stands still: he uses its mapping.
 */
#ifndef ROBUSTMQ_GUARD_H
#define ROBUSTMQ_GUARD_H

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
#include <unistd.h>
#include "platform.h"

enum { GUARD_CHUNK = 256 };

typedef struct guard_range {
    uint32_t version;               /* release; odd: being written */
    uint32_t faults;                /* pages lost; atomic */
    uint32_t told;                  /* of them the owner knows; under guard_lock */
    int protection;                 /* of the mapping */
    uintptr_t from, to;             /* to 0: free */
    uint32_t *ref_kind;             /* gets `ref_failed`, release */
    uint32_t ref_failed;
    uint32_t failed;
    uint32_t *health;               /* NULL, or gets `failed`, release */
    void (*tell)(void *owner);
    void *owner;
    struct guard_range *next_free;  /* under guard_lock */
} guard_range;

typedef struct guard_chunk {
    struct guard_chunk *next;       /* release */
    guard_range ranges[GUARD_CHUNK];
} guard_chunk;

static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static guard_chunk *guard_chunks;   /* release; the newest first */
static guard_range *guard_free;     /* under guard_lock */
static struct sigaction guard_former;
static uintptr_t guard_page;
static void (*guard_before)(void);   /* async-signal-safe; set before there is a handler */
static int guard_pipe[2] = {-1, -1};
static uint64_t guard_faults;       /* pages lost since start; atomic */

/* --- the handler: async-signal-safe, no lock ---------------------------------------------------------------------------- */

/* Whether `address` lies in the range. `*to` gets what the range said then. */
static inline int guard_covers(guard_range *range, uintptr_t address, guard_range *to) {
    uint32_t version = __atomic_load_n(&range->version, __ATOMIC_ACQUIRE);
    if (version & 1) return 0;
    to->from = __atomic_load_n(&range->from, __ATOMIC_RELAXED);
    to->to = __atomic_load_n(&range->to, __ATOMIC_RELAXED);
    to->protection = __atomic_load_n(&range->protection, __ATOMIC_RELAXED);
    to->ref_kind = __atomic_load_n(&range->ref_kind, __ATOMIC_RELAXED);
    to->ref_failed = __atomic_load_n(&range->ref_failed, __ATOMIC_RELAXED);
    to->health = __atomic_load_n(&range->health, __ATOMIC_RELAXED);
    to->failed = __atomic_load_n(&range->failed, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return version == __atomic_load_n(&range->version, __ATOMIC_RELAXED) && address >= to->from && address < to->to;
}

/* Zeros in place of the lost page, after the words that say so. False: not ours, or there is no memory for it. */
static inline int guard_take(uintptr_t address) {
    guard_chunk *chunk = __atomic_load_n(&guard_chunks, __ATOMIC_ACQUIRE);
    guard_range found;
    for (; chunk; chunk = __atomic_load_n(&chunk->next, __ATOMIC_ACQUIRE)) {
        for (int i = 0; i < GUARD_CHUNK; i++) {
            if (!guard_covers(&chunk->ranges[i], address, &found)) continue;
            __atomic_store_n(found.ref_kind, found.ref_failed, __ATOMIC_RELEASE);
            if (found.health) __atomic_store_n(found.health, found.failed, __ATOMIC_RELEASE);
            guard_before();                                     /* nobody is sending what becomes zeros */
            if (mmap((void *)(address & ~(guard_page - 1)), guard_page, found.protection,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return 0;
            __atomic_add_fetch(&guard_faults, 1, __ATOMIC_ACQ_REL);
            __atomic_add_fetch(&chunk->ranges[i].faults, 1, __ATOMIC_ACQ_REL);
            if (write(guard_pipe[1], "", 1) < 0) {}             /* full: the watchman is awake */
            return 1;
        }
    }
    return 0;
}

static void guard_on_bus(int number, siginfo_t *info, void *context) {
    int e = errno;
    if (info->si_code > 0 && guard_take((uintptr_t)info->si_addr)) {
        errno = e;
        return;
    }
    errno = e;
    if (guard_former.sa_flags & SA_SIGINFO) {
        guard_former.sa_sigaction(number, info, context);
    } else if (guard_former.sa_handler != SIG_DFL && guard_former.sa_handler != SIG_IGN) {
        guard_former.sa_handler(number);
    } else {                                                    /* a fault comes again; what was sent is sent again */
        signal(number, SIG_DFL);
        if (info->si_code <= 0 || info->si_code == SI_USER) raise(number);
    }
}

/* --- the watchman: tells owners, as the handler cannot ------------------------------------------------------------------- */

static inline void guard_tell_all(void) {
    pthread_mutex_lock(&guard_lock);
    for (guard_chunk *chunk = guard_chunks; chunk; chunk = chunk->next) {
        for (int i = 0; i < GUARD_CHUNK; i++) {
            guard_range *range = &chunk->ranges[i];
            uint32_t faults = __atomic_load_n(&range->faults, __ATOMIC_ACQUIRE);
            if (!range->to || faults == range->told) continue;
            range->told = faults;
            range->tell(range->owner);
        }
    }
    pthread_mutex_unlock(&guard_lock);
}

static void *guard_watch(void *nothing) {
    char bytes[64];
    thread_name("guard");
    while (read(guard_pipe[0], bytes, sizeof bytes) > 0 || errno == EINTR) guard_tell_all();
    return nothing;
}

/* --- ranges --------------------------------------------------------------------------------------------------------------- */

/* Under guard_lock. False: no descriptor or no thread. */
static inline int guard_install(void (*quiesce)(void)) {
    struct sigaction action;
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, before;
    int failed;
    if (guard_pipe[0] >= 0) return 1;
    guard_before = quiesce;
    guard_page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (pipe(guard_pipe) != 0) return 0;
    for (int i = 0; i < 2; i++) fcntl(guard_pipe[i], F_SETFD, FD_CLOEXEC);
    fcntl(guard_pipe[1], F_SETFL, O_NONBLOCK);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &detached, guard_watch, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    memset(&action, 0, sizeof action);
    action.sa_sigaction = guard_on_bus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (failed || sigaction(SIGBUS, &action, &guard_former) != 0) {
        close(guard_pipe[0]);
        close(guard_pipe[1]);
        guard_pipe[0] = guard_pipe[1] = -1;
        return 0;
    }
    return 1;
}

static inline int guard_grow(void) {
    guard_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) return 0;
    for (int i = 0; i < GUARD_CHUNK; i++) {
        chunk->ranges[i].next_free = guard_free;
        guard_free = &chunk->ranges[i];
    }
    chunk->next = guard_chunks;
    __atomic_store_n(&guard_chunks, chunk, __ATOMIC_RELEASE);
    return 1;
}

/* Write a range, or (to 0) empty it; under guard_lock. */
static inline void guard_write(guard_range *range, const guard_range *what) {
    uint32_t version = range->version;
    __atomic_store_n(&range->version, version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&range->from, what->from, __ATOMIC_RELAXED);
    __atomic_store_n(&range->to, what->to, __ATOMIC_RELAXED);
    __atomic_store_n(&range->protection, what->protection, __ATOMIC_RELAXED);
    __atomic_store_n(&range->ref_kind, what->ref_kind, __ATOMIC_RELAXED);
    __atomic_store_n(&range->ref_failed, what->ref_failed, __ATOMIC_RELAXED);
    __atomic_store_n(&range->health, what->health, __ATOMIC_RELAXED);
    __atomic_store_n(&range->failed, what->failed, __ATOMIC_RELAXED);
    __atomic_store_n(&range->faults, 0, __ATOMIC_RELAXED);
    range->told = 0;
    range->tell = what->tell;
    range->owner = what->owner;
    __atomic_store_n(&range->version, version + 2, __ATOMIC_RELEASE);
}

/* NULL: no memory, descriptor or thread. */
static inline guard_range *guard_put(const guard_range *what, void (*quiesce)(void)) {
    guard_range *range = NULL;
    pthread_mutex_lock(&guard_lock);
    if (guard_install(quiesce) && (guard_free || guard_grow())) {
        range = guard_free;
        guard_free = range->next_free;
        guard_write(range, what);
    }
    pthread_mutex_unlock(&guard_lock);
    return range;
}

static inline void guard_take_out(guard_range *range) {
    static const guard_range nothing;
    pthread_mutex_lock(&guard_lock);
    guard_write(range, &nothing);
    range->next_free = guard_free;
    guard_free = range;
    pthread_mutex_unlock(&guard_lock);
}

static inline uint64_t guard_count(void) { return __atomic_load_n(&guard_faults, __ATOMIC_RELAXED); }

#endif
