/* A shim between a program and the C library: failing and slow writes to some files, and another clock.
 *
 * Built and preloaded by shim.py, which shares the control block below with it. Counted and failed are the calls
 * that change a file whose path begins with FAULTS_PATH; the first bytes of a write that fails are written, as a disk
 * may do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t seen;      /* calls since the block was armed */
    int64_t fail_at;   /* the number of the call that fails, from 1; 0 for none */
    int64_t lasting;   /* whether every later one fails too */
    int64_t error;     /* the errno that they fail with */
    int64_t failed;    /* calls that failed */
    int64_t sync_ns;   /* how long a sync takes besides */
    int64_t clock_ns;  /* what is added to the time of day */
};

static volatile struct control *control;
static char path[4096];

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("FAULTS_CONTROL"), *wanted = getenv("FAULTS_PATH");
    int descriptor;

    if (file == NULL || wanted == NULL || (descriptor = open(file, O_RDWR | O_CLOEXEC)) < 0)
        return;
    strncpy(path, wanted, sizeof path - 1);
    void *block = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (block != MAP_FAILED)
        control = block;
}

static int is_ours(int descriptor)
{
    char link[64], name[4096];
    ssize_t size;

    if (control == NULL)
        return 0;
    strcpy(link, "/proc/self/fd/");
    char digits[16];
    int at = sizeof digits - 1;
    digits[at] = 0;
    do
        digits[--at] = '0' + descriptor % 10;
    while ((descriptor /= 10) > 0);
    strcat(link, digits + at);
    size = readlink(link, name, sizeof name - 1);
    if (size < 0)
        return 0;
    name[size] = 0;
    return strncmp(name, path, strlen(path)) == 0;
}

/* Count a call; tell whether it is to fail, with errno set. */
static int fails(int descriptor)
{
    if (control == NULL || descriptor < 0 || !is_ours(descriptor))
        return 0;
    int64_t number = __sync_add_and_fetch(&control->seen, 1), at = control->fail_at;
    if (at == 0 || number < at || (number > at && !control->lasting))
        return 0;
    __sync_add_and_fetch(&control->failed, 1);
    errno = (int)control->error;
    return 1;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (real == NULL) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t torn(ssize_t written)
{
    (void)written;
    errno = (int)control->error;
    return -1;
}

ssize_t write(int descriptor, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    return fails(descriptor) ? torn(real(descriptor, data, size / 2)) : real(descriptor, data, size);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return fails(descriptor) ? torn(real(descriptor, data, size / 2, offset)) : real(descriptor, data, size, offset);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    return pwrite64(descriptor, data, size, offset);
}

int ftruncate64(int descriptor, off64_t size)
{
    REAL(int, "ftruncate64", int, off64_t);
    return fails(descriptor) ? -1 : real(descriptor, size);
}

int ftruncate(int descriptor, off_t size)
{
    return ftruncate64(descriptor, size);
}

static void wait_for_disk(int descriptor)
{
    if (control != NULL && control->sync_ns > 0 && is_ours(descriptor)) {
        struct timespec time = {control->sync_ns / 1000000000, control->sync_ns % 1000000000};
        nanosleep(&time, NULL);
    }
}

int fsync(int descriptor)
{
    REAL(int, "fsync", int);
    wait_for_disk(descriptor);
    return fails(descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor)
{
    REAL(int, "fdatasync", int);
    wait_for_disk(descriptor);
    return fails(descriptor) ? -1 : real(descriptor);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int result = real(clock, time);
    if (result == 0 && control != NULL && clock == CLOCK_REALTIME && control->clock_ns != 0) {
        int64_t moved = time->tv_sec * 1000000000LL + time->tv_nsec + control->clock_ns;
        time->tv_sec = moved / 1000000000;
        time->tv_nsec = moved % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *time, void *zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL)
        *result = now.tv_sec;
    return now.tv_sec;
}
