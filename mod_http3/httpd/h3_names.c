/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_names.h"

#include "ap_provider.h"
#include "http_config.h"
#include "http_core.h"
#include "http_protocol.h"
#include "mod_auth.h"
#include "httpd/h3_c2.h"

static const authz_provider *require_host; /* mod_authz_host's; set in pre_config */

static int log_transaction(request_rec *r);
static authz_status require_host_check(request_rec *r, const char *line, const void *parsed);
static const char *require_host_parse(cmd_parms *cmd, const char *line, const void **parsed);

void h3_names_register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

void h3_names_pre_config(apr_pool_t *pconf)
{
    static const authz_provider ours = { require_host_check, require_host_parse };

    require_host = ap_lookup_provider(AUTHZ_PROVIDER_GROUP, "host", AUTHZ_PROVIDER_VERSION);
    if (require_host) {
        /* Not ap_register_auth_provider, which would count it a second time. */
        ap_register_provider(pconf, AUTHZ_PROVIDER_GROUP, "host", AUTHZ_PROVIDER_VERSION, &ours);
    }
}

/*
 * The address that a name would be looked up for is the connection's: mod_remoteip may have put
 * another one in its place.
 */
static h3_c2 *c2_without_name(const request_rec *r)
{
    h3_c2 *c2 = h3_c2_of(r->connection);

    if (!c2 || r->useragent_addr != c2->c->client_addr) {
        return NULL;
    }
    h3_connrec_take_name(c2->txn->connrec, c2->c);
    return c2->c->remote_host ? NULL : c2;
}

/*
 * With HostnameLookups the log looks it up, at the latest. Many requests may end at once: the
 * first one looks, the others wait for what it finds. Earlier it would delay responses.
 */
static int log_transaction(request_rec *r)
{
    const core_dir_config *dir = ap_get_core_module_config(r->per_dir_config);
    h3_c2 *c2;

    if ((dir->hostname_lookups == HOSTNAME_LOOKUP_ON
         || dir->hostname_lookups == HOSTNAME_LOOKUP_DOUBLE)
        && (c2 = c2_without_name(r))) {
        h3_connrec_lock_name(c2->txn->connrec, c2->c);
        ap_get_remote_host(c2->c, r->per_dir_config, REMOTE_HOST, NULL);
        h3_connrec_unlock_name(c2->txn->connrec, c2->c);
    }
    return DECLINED;
}

static authz_status require_host_check(request_rec *r, const char *line, const void *parsed)
{
    h3_c2 *c2 = c2_without_name(r);
    authz_status status;

    if (!c2) {
        return require_host->check_authorization(r, line, parsed);
    }
    h3_connrec_lock_name(c2->txn->connrec, c2->c);
    status = require_host->check_authorization(r, line, parsed);
    h3_connrec_unlock_name(c2->txn->connrec, c2->c);
    return status;
}

static const char *require_host_parse(cmd_parms *cmd, const char *line, const void **parsed)
{
    return require_host->parse_require_line(cmd, line, parsed);
}
