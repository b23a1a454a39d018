/* The parts that libfaketime 0.9 omits or gets wrong with glibc 2.33 or newer.
 *
 * File times: the kernel stamps files by the real clock, and libfaketime translates only the calls of
 * an older glibc, so a file just written would appear as old as the shift. Times that are read are
 * moved by CLOCK_SHIFT seconds, times that are set are moved back, and "now" is left to the kernel.
 *
 * Sleeping until a time of the monotonic clock, as Python does: libfaketime treats it as a time
 * of the shifted clock, even if it is configured to leave the monotonic clock alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long shift;
static int (*next_stat)(const char *, struct stat64 *);
static int (*next_lstat)(const char *, struct stat64 *);
static int (*next_fstat)(int, struct stat64 *);
static int (*next_fstatat)(int, const char *, struct stat64 *, int);
static int (*next_statx)(int, const char *, int, unsigned, struct statx *);

__attribute__((constructor)) static void begin(void) {
    const char *seconds = getenv("CLOCK_SHIFT");
    shift = seconds ? atol(seconds) : 0;
    next_stat = dlsym(RTLD_NEXT, "stat64");
    next_lstat = dlsym(RTLD_NEXT, "lstat64");
    next_fstat = dlsym(RTLD_NEXT, "fstat64");
    next_fstatat = dlsym(RTLD_NEXT, "fstatat64");
    next_statx = dlsym(RTLD_NEXT, "statx");
}

static int shifted(int result, struct stat64 *found) {
    if (result == 0) {
        found->st_atim.tv_sec += shift;
        found->st_mtim.tv_sec += shift;
        found->st_ctim.tv_sec += shift;
    }
    return result;
}

int stat64(const char *path, struct stat64 *found) { return shifted(next_stat(path, found), found); }
int lstat64(const char *path, struct stat64 *found) { return shifted(next_lstat(path, found), found); }
int fstat64(int fd, struct stat64 *found) { return shifted(next_fstat(fd, found), found); }
int fstatat64(int folder, const char *path, struct stat64 *found, int flags) {
    return shifted(next_fstatat(folder, path, found, flags), found);
}

/* On 64 bits both names mean the same structure. */
int stat(const char *path, struct stat *found) { return stat64(path, (struct stat64 *)found); }
int lstat(const char *path, struct stat *found) { return lstat64(path, (struct stat64 *)found); }
int fstat(int fd, struct stat *found) { return fstat64(fd, (struct stat64 *)found); }
int fstatat(int folder, const char *path, struct stat *found, int flags) {
    return fstatat64(folder, path, (struct stat64 *)found, flags);
}

int statx(int folder, const char *path, int flags, unsigned mask, struct statx *found) {
    int result = next_statx(folder, path, flags, mask, found);
    if (result == 0) {
        found->stx_atime.tv_sec += shift;
        found->stx_btime.tv_sec += shift;
        found->stx_ctime.tv_sec += shift;
        found->stx_mtime.tv_sec += shift;
    }
    return result;
}

static int set_times(int fd, const char *path, const struct timespec times[2], int flags) {
    struct timespec real[2];
    for (int i = 0; times && i < 2; i++) {
        real[i] = times[i];
        if (times[i].tv_nsec != UTIME_NOW && times[i].tv_nsec != UTIME_OMIT) real[i].tv_sec -= shift;
    }
    return syscall(SYS_utimensat, fd, path, times ? real : NULL, flags);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    return set_times(folder, path, times, flags);
}

int futimens(int fd, const struct timespec times[2]) { return set_times(fd, NULL, times, 0); }

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    struct timespec real = *until;
    if (clock == CLOCK_REALTIME && (flags & TIMER_ABSTIME)) real.tv_sec -= shift;
    return syscall(SYS_clock_nanosleep, clock, flags, &real, left) ? errno : 0;
}
