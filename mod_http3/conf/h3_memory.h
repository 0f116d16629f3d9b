/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default of H3MaxMemSize. Any thread of a child.
 */
#ifndef H3_MEMORY_H
#define H3_MEMORY_H

#include <stddef.h>

/*
 * Bytes for one child: a quarter of the memory that this machine, or the control group of the
 * server, has, divided by the number of children that the MPM may have; from 64 MiB to 1 GiB.
 */
size_t h3_memory_share(void);

#endif /* H3_MEMORY_H */
