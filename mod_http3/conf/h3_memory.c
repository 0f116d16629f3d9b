/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_memory.h"

#include <stdio.h>
#include <stdint.h>
#include <unistd.h>
#include "ap_mpm.h"
#include "httpd.h"

#define MIB (1024 * 1024ull)
#define LEAST (64 * MIB)
#define MOST (1024 * MIB)
/* Of the memory that is there, for HTTP/3 of all children. */
#define PART 4

/* Where the group has no limit the file says "max", or is not there. */
static uint64_t group_limit(const char *path)
{
    unsigned long long bytes;
    FILE *f = fopen(path, "re");
    int n = 0;

    if (f) {
        n = fscanf(f, "%llu", &bytes);
        fclose(f);
    }
    return n == 1 ? bytes : UINT64_MAX;
}

size_t h3_memory_share(void)
{
    uint64_t there = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t group = group_limit("/sys/fs/cgroup/memory.max"), share;
    int children = 0;

    if (group < there) {
        there = group;
    }
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &children);
    share = there / PART / (uint64_t)(children > 0 ? children : 1);
    return share < LEAST ? LEAST : share > MOST ? MOST : (size_t)share;
}
