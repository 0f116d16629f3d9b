/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_retained.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <apr_strings.h>
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "quic/quic_route.h"

#define RETAINED_KEY "mod_http3"

static h3_retained_stats *map_stats(int nslots);
static apr_status_t release_unclaimed(void *data);

h3_retained *h3_retained_get(void)
{
    h3_retained *r = ap_retained_data_get(RETAINED_KEY);

    return r && strcmp(r->layout, H3_RETAINED_LAYOUT) == 0 ? r : NULL;
}

h3_retained *h3_retained_create(int nslots)
{
    h3_retained *r = h3_retained_get();
    quic_route *route;
    h3_retained_stats *stats;
    int err;

    if (r) {
        return r;
    }
    route = quic_route_create(nslots);
    if (!route) {
        return NULL;
    }
    stats = map_stats(nslots);
    if (!stats) {
        err = errno;
        quic_route_destroy(route);
        errno = err;
        return NULL;
    }
    r = ap_retained_data_create(RETAINED_KEY, sizeof(*r));
    apr_cpystrn(r->layout, H3_RETAINED_LAYOUT, sizeof(r->layout));
    r->group.route = route;
    r->stats = stats;
    r->claimed = ap_state_query(AP_SQ_CONFIG_GEN);
    quic_cid_secret_make(&r->group.secret);
    quic_tls_ticket_keys_make(&r->ticket_keys);
    return r;
}

static h3_retained_stats *map_stats(int nslots)
{
    void *stats = mmap(NULL, (size_t)nslots * sizeof(h3_retained_stats), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return stats == MAP_FAILED ? NULL : stats;
}

int h3_retained_live(void)
{
    const h3_retained *r = h3_retained_get();

    return r ? quic_route_live(r->group.route) : 0;
}

void h3_retained_child_ended(pid_t pid)
{
    const h3_retained *r = h3_retained_get();

    if (r) {
        quic_route_release_pid(&r->group, pid);
    }
}

void h3_retained_claim(void)
{
    h3_retained *r = h3_retained_get();

    if (r) {
        r->claimed = ap_state_query(AP_SQ_CONFIG_GEN);
    }
}

/*
 * httpd clears plog when the next configuration has been read and checked, before it opens logs or
 * starts anything: the one moment at which a module that is not in it hears of that. (Its code is
 * still there, because the DSO is linked with -z nodelete.)
 */
void h3_retained_release_unclaimed(apr_pool_t *plog)
{
    h3_retained *r = h3_retained_get();

    if (r) {
        apr_pool_cleanup_register(plog, r, release_unclaimed, apr_pool_cleanup_null);
    }
}

static apr_status_t release_unclaimed(void *data)
{
    h3_retained *r = data;
    int i;

    if (r->claimed == ap_state_query(AP_SQ_CONFIG_GEN)) {
        return APR_SUCCESS;
    }
    for (i = 0; i < r->group.n; ++i) {
        quic_listener_close(r->group.listeners[i]);
    }
    free(r->group.listeners);
    munmap(r->stats, (size_t)quic_route_nslots(r->group.route) * sizeof(*r->stats));
    quic_route_destroy(r->group.route);
    /* Secrets and layout too: from now on nobody takes it for their own. */
    memset(r, 0, sizeof(*r));
    return APR_SUCCESS;
}
