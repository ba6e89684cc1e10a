#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    SLOTS = 5,
    MOST_THREADS = 64,
    /* Nanoseconds: of work that others are called for, and for how long a thread looks out
     * for what comes next before it sleeps, as waking it takes half of that. */
    WORTH_WAKING = 80000,
    LOOKING_OUT = 100000,
    MOST_KEPT = 8 << 20, /* bytes from one call to the next, of a thread that calls */
};

/* What one call does: it lies in the caller's memory until all tasks are done. */
typedef struct {
    int count;
    void (*task)(void *, int);
    void *context;
    atomic_int next, failed;
} job;

static struct {
    pthread_mutex_t owner; /* who has it has all threads */
    pthread_mutex_t lock;
    pthread_cond_t begun, ended;
    int threads;
    int is_open;        /* whether this job takes more of them */
    atomic_int active;  /* of them, in this job */
    atomic_uint jobs;   /* so far */
    job *now;
} pool = {
    .owner = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .begun = PTHREAD_COND_INITIALIZER,
    .ended = PTHREAD_COND_INITIALIZER,
};

/* The job whose task this thread is in: the inner one where a task has jobs of its own. */
static _Thread_local job *of_thread;

static void take_tasks(job *now) {
    job *outer = of_thread;
    of_thread = now;
    for (int i; (i = atomic_fetch_add(&now->next, 1)) < now->count;) now->task(now->context, i);
    of_thread = outer;
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int another_job(unsigned seen) { return atomic_load(&pool.jobs) != seen; }

static int none_active(unsigned unused) {
    (void)unused;
    return !atomic_load(&pool.active);
}

/* Looks out for something a while; who else wants this core has it meanwhile. */
static void look_out(int (*for_what)(unsigned), unsigned seen) {
    for (int64_t until = nanoseconds() + LOOKING_OUT; !for_what(seen) && nanoseconds() < until;)
        sched_yield();
}

static void *wait_for_work(void *unused) {
    (void)unused;
    unsigned seen = 0;
    for (;;) {
        look_out(another_job, seen);
        pthread_mutex_lock(&pool.lock);
        while (pool.jobs == seen) pthread_cond_wait(&pool.begun, &pool.lock);
        seen = pool.jobs;
        if (pool.is_open) {
            job *now = pool.now;
            pool.active++;
            pthread_mutex_unlock(&pool.lock);
            take_tasks(now);
            pthread_mutex_lock(&pool.lock);
            if (--pool.active == 0) pthread_cond_signal(&pool.ended);
        }
        pthread_mutex_unlock(&pool.lock);
    }
    return NULL;
}

static int usable_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int count = CPU_COUNT(&set);
    return count < MOST_THREADS ? count : MOST_THREADS;
}

/* All threads but the caller's, made once. */
static void make_threads(void) {
    int wanted = usable_cores() - 1;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (pthread_t thread; pool.threads < wanted; pool.threads++)
        if (pthread_create(&thread, &attributes, wait_for_work, NULL)) break;
    pthread_attr_destroy(&attributes);
}

static pthread_once_t made = PTHREAD_ONCE_INIT;

int run_in_parallel(int count, double work, void (*task)(void *, int), void *context) {
    pthread_once(&made, make_threads);
    job mine = {.count = count, .task = task, .context = context};
    if (count == 1 || work < WORTH_WAKING || !pool.threads ||
        pthread_mutex_trylock(&pool.owner)) {
        take_tasks(&mine);
        return !atomic_load(&mine.failed);
    }
    pthread_mutex_lock(&pool.lock);
    pool.now = &mine;
    pool.jobs++;
    pool.is_open = 1;
    pthread_cond_broadcast(&pool.begun);
    pthread_mutex_unlock(&pool.lock);
    take_tasks(&mine);
    pthread_mutex_lock(&pool.lock);
    /* Who wakes too late is not waited for. */
    pool.is_open = 0;
    pthread_mutex_unlock(&pool.lock);
    look_out(none_active, 0);
    pthread_mutex_lock(&pool.lock);
    while (pool.active) pthread_cond_wait(&pool.ended, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.owner);
    return !atomic_load(&mine.failed);
}

void *thread_memory(int slot, size_t size) {
    static _Thread_local void *memory[SLOTS];
    static _Thread_local size_t sizes[SLOTS];
    if (sizes[slot] < size) {
        free(memory[slot]);
        sizes[slot] = 0;
        memory[slot] = aligned_alloc(64, (size + 63) / 64 * 64);
        if (!memory[slot]) return NULL;
        sizes[slot] = size;
    }
    return memory[slot];
}

static _Thread_local void *kept;
static _Thread_local size_t kept_size;
static _Thread_local int kept_is_lent;

void *call_memory(size_t size) {
    size = (size / 64 + 1) * 64;
    if (kept_is_lent || size > MOST_KEPT) return aligned_alloc(64, size);
    if (kept_size < size) {
        free(kept);
        kept = aligned_alloc(64, size);
        kept_size = kept ? size : 0;
    }
    kept_is_lent = kept != NULL;
    return kept;
}

void give_back(void *memory) {
    if (memory && memory == kept)
        kept_is_lent = 0;
    else
        free(memory);
}

void out_of_memory(void) { atomic_store(&of_thread->failed, 1); }
