/* Work for all cores. */
#ifndef KERAS16_THREADS_H
#define KERAS16_THREADS_H

#include <stddef.h>

/* Calls `task(context, i)` for i from 0 to count - 1, on all cores that this process may
 * use, in any order. The caller does it alone where other work has them, and where there
 * is too little to do to wake them for it. Gives 1, or 0 where a task ran out of memory.
 *
 * work: about how many nanoseconds it all takes one core. */
int run_in_parallel(int count, double work, void (*task)(void *, int), void *context);

/* Memory of the calling thread, aligned to 64 bytes and kept for its next task; NULL
 * where there is none. What it holds is lost where it must grow. */
void *thread_memory(int slot, size_t size);

/* Memory for a call of a kernel, aligned likewise, until it is given back; NULL where there
 * is none. What is not too large is kept for the thread's next call: what comes from the
 * system anew costs more to touch than most calls take. */
void *call_memory(size_t size);
void give_back(void *memory);

/* Said by a task that could not do its work. */
void out_of_memory(void);

#endif
