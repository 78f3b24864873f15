// A monotonic clock that counts the CPU time of the process, so that time limits mean the same on a busy machine as on an idle
// one: `cc -shared -fPIC -o cpu_clock.so cpu_clock.c -ldl`, then `LD_PRELOAD=./cpu_clock.so llmprove .. --threads 1`. Linux.
//
// Waits on futexes end at moments of the real clock, so those are translated.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#define BILLION 1000000000L

static long (*next_syscall)(long, ...);

__attribute__((constructor)) static void start(void) { next_syscall = dlsym(RTLD_NEXT, "syscall"); }

static int real(clockid_t clock, struct timespec *at) { return next_syscall(SYS_clock_gettime, clock, at); }

int clock_gettime(clockid_t clock, struct timespec *at) {
    return real(clock == CLOCK_MONOTONIC ? CLOCK_PROCESS_CPUTIME_ID : clock, at);
}

long syscall(long number, long a, long b, long c, long d, long e, long f) {
    const struct timespec *until = (const struct timespec *)d;
    struct timespec moved, now, used;
    if (number == SYS_futex && (b & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && until && !(b & FUTEX_CLOCK_REALTIME)) {
        real(CLOCK_MONOTONIC, &now);
        real(CLOCK_PROCESS_CPUTIME_ID, &used);
        long nanos = until->tv_nsec + now.tv_nsec - used.tv_nsec + BILLION;
        moved.tv_sec = until->tv_sec + now.tv_sec - used.tv_sec + nanos / BILLION - 1;
        moved.tv_nsec = nanos % BILLION;
        d = (long)&moved;
    }
    return next_syscall(number, a, b, c, d, e, f);
}
