/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel is set to (sysctl).
 *
 * By the parent, while it reads the configuration; for any thread otherwise.
 */
#ifndef H3_SYSCTL_H
#define H3_SYSCTL_H

#include <apr_pools.h>

/*
 * The value of `name`, a path below /proc/sys ("net/core/rmem_max"), without its line end; in `p`.
 * NULL: there is none, or it may not be read.
 */
const char *h3_sysctl_get(const char *name, apr_pool_t *p);

#endif /* H3_SYSCTL_H */
