// For tests: loaded with LD_PRELOAD, it makes the N-th call that changes files below a folder fail, whoever makes it
// (Node, SQLite, LibTorch). The folder is $SELM_FAULT_UNDER; the plan is the file $SELM_FAULT_PLAN, mapped, which the test
// writes (fail-io.ts): four int32: which call fails (from 1; 0: none), 1 when all after it fail too, errno, calls so far.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

struct plan {
  int call;
  int always;
  int error;
  atomic_int calls;
};

static struct plan *plan;
static char under[PATH_MAX];

__attribute__((constructor)) static void load_plan(void) {
  const char *path = getenv("SELM_FAULT_PLAN");
  const char *folder = getenv("SELM_FAULT_UNDER");
  if (path == NULL || folder == NULL || strlen(folder) >= sizeof under) return;
  int fd = open(path, O_RDWR);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) return;
  strcpy(under, folder);
  plan = mapped;
}

// True when this call is the one that fails; errno is then set.
static int fails_at(const char *path) {
  if (plan == NULL || path == NULL || strncmp(path, under, strlen(under)) != 0) return 0;
  int number = atomic_fetch_add(&plan->calls, 1) + 1;
  if (plan->call == 0 || (plan->always ? number < plan->call : number != plan->call)) return 0;
  errno = plan->error;
  return 1;
}

static int fails(int fd) {
  if (plan == NULL) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return fails_at(path);
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *data, size_t size) {
  return fails(fd) ? -1 : REAL(ssize_t, "write", int, const void *, size_t)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  return fails(fd) ? -1 : REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  return fails(fd) ? -1 : REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return fails(fd) ? -1 : REAL(ssize_t, "writev", int, const struct iovec *, int)(fd, parts, count);
}
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags) {
  return fails(to) ? -1
                   : REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned)(
                         from, from_at, to, to_at, size, flags);
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
  return fails(to) ? -1 : REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t)(to, from, at, size);
}
int fsync(int fd) { return fails(fd) ? -1 : REAL(int, "fsync", int)(fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : REAL(int, "fdatasync", int)(fd); }
int ftruncate(int fd, off_t size) { return fails(fd) ? -1 : REAL(int, "ftruncate", int, off_t)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails(fd) ? -1 : REAL(int, "ftruncate64", int, off64_t)(fd, size); }
int rename(const char *from, const char *to) {
  return fails_at(to) ? -1 : REAL(int, "rename", const char *, const char *)(from, to);
}
int link(const char *from, const char *to) {
  return fails_at(to) ? -1 : REAL(int, "link", const char *, const char *)(from, to);
}
int unlink(const char *path) { return fails_at(path) ? -1 : REAL(int, "unlink", const char *)(path); }
int rmdir(const char *path) { return fails_at(path) ? -1 : REAL(int, "rmdir", const char *)(path); }
int mkdir(const char *path, mode_t mode) {
  return fails_at(path) ? -1 : REAL(int, "mkdir", const char *, mode_t)(path, mode);
}

// Questions are no changes and never fail by their number, but their answers fit the state of the disk.
static int disk_is(int error, const char *path) {
  return plan != NULL && plan->error == error && plan->always && plan->call > 0 && plan->calls >= plan->call &&
         strncmp(path, under, strlen(under)) == 0;
}
int access(const char *path, int mode) {
  if ((mode & W_OK) && disk_is(EROFS, path)) {
    errno = EROFS;
    return -1;
  }
  return REAL(int, "access", const char *, int)(path, mode);
}
#define STATFS(name)                                                                 \
  int name(const char *path, struct name *answer) {                                  \
    int result = REAL(int, #name, const char *, struct name *)(path, answer);        \
    if (disk_is(ENOSPC, path)) answer->f_bavail = answer->f_bfree = 0;               \
    return result;                                                                   \
  }
STATFS(statfs)
STATFS(statfs64)

// Opening counts where it may create the file.
#define OPEN(name)                                                                   \
  int name(const char *path, int flags, ...) {                                       \
    mode_t mode = 0;                                                                 \
    if (flags & O_CREAT) {                                                           \
      va_list rest;                                                                  \
      va_start(rest, flags);                                                         \
      mode = va_arg(rest, mode_t);                                                   \
      va_end(rest);                                                                  \
      if (fails_at(path)) return -1;                                                 \
    }                                                                                \
    return REAL(int, #name, const char *, int, ...)(path, flags, mode);              \
  }
OPEN(open)
OPEN(open64)
