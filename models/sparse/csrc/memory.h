/* Memory that is kept from frame to frame. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>

/* Memory that grows with the largest frame. */
typedef struct {
    void *data;
    size_t size;
} Block;

/* At least `bytes`, 64-byte aligned; what was in it is lost. NULL: no memory. */
void *block_take(Block *block, size_t bytes);

#endif
