/* Memory that grows with the largest frame. */
#define _DEFAULT_SOURCE /* madvise */

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "memory.h"

enum { HUGE_PAGE = 2 << 20 };

void *block_take(Block *block, size_t bytes) {
    if (bytes <= block->size && block->data) return block->data;
    free(block->data);
    const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64, room = bytes + bytes / 4 + 1;
    block->size = (room + alignment - 1) / alignment * alignment;
    block->data = aligned_alloc(alignment, block->size);
#if defined(__linux__)
    if (block->data && alignment == HUGE_PAGE) madvise(block->data, block->size, MADV_HUGEPAGE);
#endif
    if (!block->data) block->size = 0;
    return block->data;
}
