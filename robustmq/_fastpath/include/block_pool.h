/* The calling thread's pool of free blocks.
 *
 * A static in a header is one copy per extension: only block.pyx includes this file, everybody else calls block_new. */
#ifndef ROBUSTMQ_BLOCK_POOL_H
#define ROBUSTMQ_BLOCK_POOL_H

#include <stdint.h>

#define BLOCK_CLASSES 5

struct block_pool {
    void *free[BLOCK_CLASSES];
    uint32_t kept[BLOCK_CLASSES];
};

static _Thread_local struct block_pool pool_of_thread;

static inline struct block_pool *block_pool(void) { return &pool_of_thread; }

/* A pooled block hides a use after free from a sanitizer: under one, every block goes back to malloc. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLOCK_POOLED 0
#else
#define BLOCK_POOLED 1
#endif

#endif
