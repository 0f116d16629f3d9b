/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's host name (HostnameLookups, Require host): looked up once for a connection, as over
 * TCP, although its requests are run by many threads at once.
 *
 * Hooks run on workers.
 */
#ifndef H3_NAMES_H
#define H3_NAMES_H

#include "httpd.h"

void h3_names_register_hooks(apr_pool_t *p);

/* pre_config: `Require host` goes through us. */
void h3_names_pre_config(apr_pool_t *pconf);

#endif /* H3_NAMES_H */
