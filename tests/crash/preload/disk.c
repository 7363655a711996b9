/* A disk that fails or loses power, for one process: LD_PRELOAD between the C library and a program under test.
 *
 *     DISK_BELOW      only files and directories below this one (an absolute path) are looked at
 *     DISK_CONTROL    a file of rows (struct row), mapped: which calls fail. The test writes it while the program runs
 *     DISK_SHADOW     an empty directory that is kept as the disk would be found after a power cut
 *
 * What a power cut leaves (tests/crash/disk.py puts it together):
 *
 *     SHADOW/files/ID   the bytes of a file as its fsync, fdatasync or msync (of a range) left them; absent: no byte
 *     SHADOW/names/ID   what an fsync of a directory made durable, a line per name: "f|d ID NAME". 1: DISK_BELOW
 *     SHADOW/live/INODE a link to the ID of the file or directory that has this inode now
 *
 * So creating, renaming and deleting last from the fsync of the directory on, bytes and sizes from that of the file on. What
 * stands below DISK_BELOW when the program starts is durable. A call that is made to fail does nothing.
 *
 * One lock covers everything: a sync is not slow here, it is only alone.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum op { OP_MSYNC, OP_FSYNC, OP_FDATASYNC, OP_FALLOCATE, OP_PWRITE, OP_WRITE, OP_FTRUNCATE, OP_RENAME, OP_CREATE, OPS };

struct row {            /* of one op; 128 bytes */
    uint64_t seen;      /* calls so far whose path ends in `match` */
    uint64_t from, until;   /* calls number [from, until) fail; the first is 1 */
    int32_t error;
    uint32_t reserved;
    char match[96];
};

struct node {           /* a file or directory */
    struct node *next;
    ino_t inode;        /* 0: deleted */
    uint64_t id;
    int fd;             /* of our own; never closed while it lives, as that would drop the program's POSIX locks */
    int is_directory;
    char path[512];     /* its latest name */
};

struct mapping {
    struct mapping *next;
    struct node *node;
    char *base;
    size_t length;
    off_t offset;
};

enum { FDS = 65536, CHUNK = 1 << 16 };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char below[400], shadow[400];
static size_t below_length;
static struct row *control;
static struct node *nodes, *by_fd[FDS];
static struct mapping *mappings;
static uint64_t ids;
static int is_ready;

#define NEXT(name) ({ static __typeof__(&name) found; if (!found) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name); found; })

static int is_below(const char *path) {
    return is_ready && strncmp(path, below, below_length) == 0 && (path[below_length] == '/' || path[below_length] == 0);
}

/* --- faults --------------------------------------------------------------------------------------------------------- */

static int ends_in(const char *path, const char *match) {
    size_t n = strlen(path), m = strlen(match);
    return m <= n && strcmp(path + n - m, match) == 0;
}

/* 0, or the error with which this call shall fail. */
static int fault(enum op op, const char *path) {
    struct row *row = control ? &control[op] : NULL;
    if (!row || !ends_in(path, row->match)) return 0;
    uint64_t number = __atomic_add_fetch(&row->seen, 1, __ATOMIC_SEQ_CST);
    uint64_t from = __atomic_load_n(&row->from, __ATOMIC_SEQ_CST);
    return from && number >= from && number < row->until ? row->error : 0;
}

/* --- what is durable ------------------------------------------------------------------------------------------------ */

static void give_up(const char *what) {
    fprintf(stderr, "preload/disk.c: %s: %s\n", what, strerror(errno));
    abort();
}

static void shadow_path(char *path, const char *kind, uint64_t id) {
    snprintf(path, PATH_MAX, "%s/%s/%llu", shadow, kind, (unsigned long long)id);
}

/* Bytes [at, end) of the file survive from now on, and its size. */
static void bytes_durable(struct node *node, off_t at, off_t end) {
    char path[PATH_MAX], *chunk = malloc(CHUNK), *had = malloc(CHUNK);
    struct stat now;
    if (!shadow[0] || fstat(node->fd, &now) != 0) goto done;
    shadow_path(path, "files", node->id);
    int to = NEXT(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (to < 0 || NEXT(ftruncate)(to, now.st_size) != 0) give_up(path);
    if (end > now.st_size) end = now.st_size;
    while (at < end) {
        ssize_t n = pread(node->fd, chunk, end - at < CHUNK ? (size_t)(end - at) : CHUNK, at);
        if (n <= 0) break;
        ssize_t old = pread(to, had, (size_t)n, at);        /* holes stay holes */
        if ((old != n || memcmp(chunk, had, (size_t)n) != 0) && NEXT(pwrite)(to, chunk, (size_t)n, at) != n) give_up(path);
        at += n;
    }
    NEXT(close)(to);
done:
    free(chunk);
    free(had);
}

static struct node *node_of(ino_t inode) {
    for (struct node *node = nodes; node; node = node->next)
        if (node->inode == inode) return node;
    return NULL;
}

static void link_inode(struct node *node) {
    char path[PATH_MAX], id[32];
    if (!shadow[0]) return;
    shadow_path(path, "live", node->inode);
    snprintf(id, sizeof id, "%llu", (unsigned long long)node->id);
    if (symlink(id, path) != 0) give_up(path);
}

static struct node *node_at(const char *path) {
    struct stat now;
    if (lstat(path, &now) != 0 || !(S_ISREG(now.st_mode) || S_ISDIR(now.st_mode))) return NULL;
    struct node *node = node_of(now.st_ino);
    if (!node) {
        node = calloc(1, sizeof *node);
        node->inode = now.st_ino;
        node->id = ++ids;
        node->is_directory = S_ISDIR(now.st_mode);
        node->fd = NEXT(open)(path, O_RDONLY | O_CLOEXEC);
        node->next = nodes;
        nodes = node;
        link_inode(node);
    }
    snprintf(node->path, sizeof node->path, "%s", path);
    return node;
}

/* The names in a directory survive from now on. Goes down, with all bytes, when everything there is durable. */
static void names_durable(struct node *node, int all) {
    char path[PATH_MAX + 300], beside[PATH_MAX + 8], at[PATH_MAX];
    if (!shadow[0]) return;
    DIR *directory = opendir(node->path);
    shadow_path(at, "names", node->id);
    snprintf(beside, sizeof beside, "%s.new", at);
    FILE *out = fopen(beside, "w");
    if (!directory || !out) give_up(node->path);
    char base[512];
    snprintf(base, sizeof base, "%s", node->path);
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
        struct node *child = node_at(path);
        if (!child) continue;
        fprintf(out, "%c %llu %s\n", child->is_directory ? 'd' : 'f', (unsigned long long)child->id, entry->d_name);
        if (all && child->is_directory) names_durable(child, 1);
        if (all && !child->is_directory) bytes_durable(child, 0, LLONG_MAX);
    }
    closedir(directory);
    if (fclose(out) != 0 || NEXT(rename)(beside, at) != 0) give_up(at);
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("DISK_BELOW"), *rows = getenv("DISK_CONTROL"), *keep = getenv("DISK_SHADOW");
    if (!where) return;
    snprintf(below, sizeof below, "%s", where);
    below_length = strlen(below);
    if (rows) {
        int fd = NEXT(open)(rows, O_RDWR | O_CLOEXEC);
        control = mmap(NULL, sizeof(struct row) * OPS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (control == MAP_FAILED) give_up(rows);
        NEXT(close)(fd);
    }
    if (keep) {
        char path[PATH_MAX];
        snprintf(shadow, sizeof shadow, "%s", keep);
        const char *kinds[] = {"files", "names", "live"};
        for (int i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "%s/%s", shadow, kinds[i]);
            if (mkdir(path, 0700) != 0) give_up(path);
        }
        struct node *root = node_at(below);
        if (!root) give_up(below);
        names_durable(root, 1);
    }
    is_ready = 1;
}

/* --- calls: names ---------------------------------------------------------------------------------------------------- */

static void absolute(char *full, const char *path) {
    char here[PATH_MAX / 2];
    if (path[0] == '/' || !getcwd(here, sizeof here)) snprintf(full, PATH_MAX, "%s", path);
    else snprintf(full, PATH_MAX, "%s/%s", here, path);
}

static int open_any(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    absolute(full, path);
    if (!is_below(full)) return real(path, flags, mode);
    pthread_mutex_lock(&lock);
    int fresh = (flags & O_CREAT) && access(full, F_OK) != 0;
    int failed = fresh ? fault(OP_CREATE, full) : 0;
    int fd = failed ? -1 : real(path, flags, mode);
    if (failed) errno = failed;
    int e = errno;
    if (fd >= 0 && fd < FDS) by_fd[fd] = node_at(full);
    pthread_mutex_unlock(&lock);
    errno = e;
    return fd;
}

#define OPEN(name)                                                      \
    int name(const char *path, int flags, ...) {                        \
        mode_t mode = 0;                                                \
        if (flags & (O_CREAT | __O_TMPFILE)) {                          \
            va_list more;                                               \
            va_start(more, flags);                                      \
            mode = va_arg(more, mode_t);                                \
            va_end(more);                                               \
        }                                                               \
        return open_any(NEXT(name), path, flags, mode);                 \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS) by_fd[fd] = NULL;
    int done = NEXT(close)(fd);
    pthread_mutex_unlock(&lock);
    return done;
}

/* The name at `path` goes away: if it is the last one, its inode number may come back as another file. */
static void forget(const char *path) {
    struct stat now;
    struct node *node;
    char link[PATH_MAX];
    if (lstat(path, &now) != 0 || now.st_nlink != 1 || (node = node_of(now.st_ino)) == NULL) return;
    node->inode = 0;
    shadow_path(link, "live", now.st_ino);
    if (shadow[0]) NEXT(unlink)(link);
}

int unlink(const char *path) {
    char full[PATH_MAX];
    absolute(full, path);
    if (!is_below(full)) return NEXT(unlink)(path);
    pthread_mutex_lock(&lock);
    forget(full);
    int done = NEXT(unlink)(path);
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *old, const char *new) {
    char from[PATH_MAX], to[PATH_MAX];
    absolute(from, old);
    absolute(to, new);
    if (!is_below(to)) return NEXT(rename)(old, new);
    pthread_mutex_lock(&lock);
    int failed = fault(OP_RENAME, to);
    if (!failed) forget(to);
    int done = failed ? -1 : NEXT(rename)(old, new);
    if (failed) errno = failed;
    int e = errno;
    if (done == 0) node_at(to);
    pthread_mutex_unlock(&lock);
    errno = e;
    return done;
}

/* --- calls: bytes ---------------------------------------------------------------------------------------------------- */

static struct node *node_of_fd(int fd) { return fd >= 0 && fd < FDS ? by_fd[fd] : NULL; }

/* 0, or -1 with errno: the call on `fd` shall fail. */
static int refuse(enum op op, int fd) {
    struct node *node = node_of_fd(fd);
    int failed = 0;
    if (!node) return 0;
    pthread_mutex_lock(&lock);
    failed = fault(op, node->path);
    pthread_mutex_unlock(&lock);
    if (failed) errno = failed;
    return failed ? -1 : 0;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
    return refuse(OP_PWRITE, fd) ? -1 : NEXT(pwrite)(fd, p, n, at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) {
    return refuse(OP_PWRITE, fd) ? -1 : NEXT(pwrite64)(fd, p, n, at);
}
ssize_t write(int fd, const void *p, size_t n) { return refuse(OP_WRITE, fd) ? -1 : NEXT(write)(fd, p, n); }
int ftruncate(int fd, off_t size) { return refuse(OP_FTRUNCATE, fd) ? -1 : NEXT(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return refuse(OP_FTRUNCATE, fd) ? -1 : NEXT(ftruncate64)(fd, size); }
int fallocate(int fd, int mode, off_t at, off_t n) {
    return refuse(OP_FALLOCATE, fd) ? -1 : NEXT(fallocate)(fd, mode, at, n);
}
int fallocate64(int fd, int mode, off64_t at, off64_t n) {
    return refuse(OP_FALLOCATE, fd) ? -1 : NEXT(fallocate64)(fd, mode, at, n);
}

static int posix_any(int (*real)(int, off_t, off_t), int fd, off_t at, off_t n) {     /* tells its error as its result */
    return refuse(OP_FALLOCATE, fd) ? errno : real(fd, at, n);
}
int posix_fallocate(int fd, off_t at, off_t n) { return posix_any(NEXT(posix_fallocate), fd, at, n); }
int posix_fallocate64(int fd, off64_t at, off64_t n) { return posix_any(NEXT(posix_fallocate64), fd, at, n); }

static int sync_any(enum op op, int (*real)(int), int fd) {
    struct node *node = node_of_fd(fd);
    if (!node) return real(fd);
    if (refuse(op, fd)) return -1;
    int done = real(fd);
    pthread_mutex_lock(&lock);
    if (done == 0 && node->is_directory) names_durable(node, 0);
    else if (done == 0) bytes_durable(node, 0, LLONG_MAX);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return sync_any(OP_FSYNC, NEXT(fsync), fd); }
int fdatasync(int fd) { return sync_any(OP_FDATASYNC, NEXT(fdatasync), fd); }

/* --- calls: mappings -------------------------------------------------------------------------------------------------- */

static void mapped(void *base, size_t n, int flags, int fd, off_t at) {
    struct node *node = node_of_fd(fd);
    if (base == MAP_FAILED || !node || !(flags & MAP_SHARED)) return;
    struct mapping *mapping = calloc(1, sizeof *mapping);
    *mapping = (struct mapping){NULL, node, base, n, at};
    pthread_mutex_lock(&lock);
    mapping->next = mappings;
    mappings = mapping;
    pthread_mutex_unlock(&lock);
}

void *mmap(void *p, size_t n, int protection, int flags, int fd, off_t at) {
    void *base = NEXT(mmap)(p, n, protection, flags, fd, at);
    mapped(base, n, flags, fd, at);
    return base;
}

void *mmap64(void *p, size_t n, int protection, int flags, int fd, off64_t at) {
    void *base = NEXT(mmap64)(p, n, protection, flags, fd, at);
    mapped(base, n, flags, fd, at);
    return base;
}

int munmap(void *base, size_t n) {
    pthread_mutex_lock(&lock);
    for (struct mapping **link = &mappings; *link; link = &(*link)->next) {
        struct mapping *mapping = *link;
        if (mapping->base != base) continue;
        *link = mapping->next;
        free(mapping);
        break;
    }
    int done = NEXT(munmap)(base, n);
    pthread_mutex_unlock(&lock);
    return done;
}

int msync(void *p, size_t n, int flags) {
    pthread_mutex_lock(&lock);
    struct mapping *mapping = mappings;
    while (mapping && !((char *)p >= mapping->base && (char *)p < mapping->base + mapping->length)) mapping = mapping->next;
    int failed = mapping ? fault(OP_MSYNC, mapping->node->path) : 0;
    pthread_mutex_unlock(&lock);
    if (failed) {
        errno = failed;
        return -1;
    }
    int done = NEXT(msync)(p, n, flags);
    if (done == 0 && mapping && (flags & MS_SYNC)) {
        off_t at = mapping->offset + ((char *)p - mapping->base);
        pthread_mutex_lock(&lock);
        bytes_durable(mapping->node, at, at + (off_t)n);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
