/* Work for all cores. */
#ifndef KERAS16_THREADS_H
#define KERAS16_THREADS_H

#include <stddef.h>

/* Calls `task(context, i)` for i from 0 to count - 1, on all cores that this process may
 * use, in any order. Where other work has them, the caller does it alone. Gives 1, or 0
 * where a task ran out of memory. */
int run_in_parallel(int count, void (*task)(void *, int), void *context);

/* Memory of the calling thread, aligned to 64 bytes and kept for its next task; NULL
 * where there is none. What it holds is lost where it must grow. */
void *thread_memory(int slot, size_t size);

/* Said by a task that could not do its work. */
void out_of_memory(void);

#endif
