/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module of somebody else's, for the tests: it does to connections what modules do to them. Its
 * handler "guest" does what the query says, and answers with what it found.
 */
#include <stdlib.h>
#include <string.h>
#include <apr_buckets.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"

module AP_MODULE_DECLARE_DATA guest_module;

#define PIECES 64

/* Connections at once; at which stage more are refused, and how. */
static int most = 1000000;
static const char *how = "error";
static int connections; /* atomic */

static apr_status_t forget(void *c)
{
    (void)c;
    __atomic_sub_fetch(&connections, 1, __ATOMIC_RELAXED);
    return APR_SUCCESS;
}

static apr_status_t eat(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                        apr_read_type_e block, apr_off_t bytes)
{
    return ap_get_brigade(f->next, bb, mode, block, bytes);
}

static int is_too_many(conn_rec *c)
{
    return atoi(apr_table_get(c->notes, "guest-number")) > most;
}

/* What such modules use of a connection: all of it. */
static int guest_pre_connection(conn_rec *c, void *csd)
{
    apr_bucket_brigade *bb;
    apr_sockaddr_t *sa;
    int n;

    if (c->master || c->outgoing) {
        return DECLINED;
    }
    n = __atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED);
    apr_pool_cleanup_register(c->pool, c, forget, apr_pool_cleanup_null);
    apr_table_setn(c->notes, "guest-number", apr_itoa(c->pool, n));
    ap_set_module_config(c->conn_config, &guest_module, apr_itoa(c->pool, c->client_addr->port));
    ap_add_input_filter("GUEST_IN", NULL, NULL, c);
    ap_assert(csd && c->sbh && c->cs && c->bucket_alloc && c->local_ip);
    ap_assert(apr_socket_addr_get(&sa, APR_REMOTE, csd) == APR_SUCCESS
              && sa->port == c->client_addr->port);
    apr_socket_timeout_set(csd, apr_time_from_sec(30));
    if (!is_too_many(c) || strncmp(how, "process", 7) == 0) {
        return OK;
    }
    if (strcmp(how, "abort") == 0) {
        c->aborted = 1;
        return OK;
    }
    if (strcmp(how, "close") == 0) {
        apr_socket_close(csd);
        return OK;
    }
    bb = apr_brigade_create(c->pool, c->bucket_alloc);
    ap_fputs(c->output_filters, bb, "HTTP/1.1 500 Too many\r\n\r\n");
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(c->bucket_alloc));
    ap_pass_brigade(c->output_filters, bb);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int guest_process_connection(conn_rec *c)
{
    if (c->master || !is_too_many(c) || strncmp(how, "process", 7) != 0) {
        return DECLINED;
    }
    if (strcmp(how, "process-linger") == 0) {
        c->cs->state = CONN_STATE_LINGER;
        return OK;
    }
    return strcmp(how, "process-ok") == 0 ? OK : HTTP_FORBIDDEN;
}

static const char *set_most(cmd_parms *cmd, void *dir, const char *number, const char *means)
{
    (void)cmd;
    (void)dir;
    most = atoi(number);
    how = means;
    return NULL;
}

static const char *addr_text(apr_socket_t *csd, apr_interface_e which, apr_pool_t *p)
{
    apr_sockaddr_t *sa;
    char *ip;

    if (apr_socket_addr_get(&sa, which, csd) != APR_SUCCESS
        || apr_sockaddr_ip_get(&ip, sa) != APR_SUCCESS) {
        return "none";
    }
    return apr_psprintf(p, "%s:%u", ip, (unsigned)sa->port);
}

/* Is what this request writes into its connection, and that one's, still there a moment later? */
static const char *write_into(conn_rec *c, request_rec *r)
{
    char *piece[PIECES], mine[64];
    int i, turn;

    apr_snprintf(mine, sizeof(mine), "%pp %" APR_TIME_T_FMT, (void *)r, apr_time_now());
    for (turn = 0; turn < 8; turn++) {
        for (i = 0; i < PIECES; i++) {
            piece[i] = apr_pstrdup(c->pool, mine);
        }
        apr_table_set(c->notes, "guest", mine);
        c->client_addr->hostname = apr_pstrdup(c->client_addr->pool, mine);
        apr_sleep(200);
        for (i = 0; i < PIECES; i++) {
            if (strcmp(piece[i], mine) != 0) {
                return "its pool is another one's too";
            }
        }
        if (strcmp(apr_table_get(c->notes, "guest"), mine) != 0) {
            return "its notes are another one's too";
        }
        if (strcmp(c->client_addr->hostname, mine) != 0) {
            return "its address is another one's too";
        }
    }
    return "whole";
}

static int guest_handler(request_rec *r)
{
    conn_rec *c = r->connection;
    apr_socket_t *csd;
    apr_interval_time_t timeout = 0;
    const char *what = r->args ? r->args : "";

    if (!r->handler || strcmp(r->handler, "guest") != 0) {
        return DECLINED;
    }
    csd = ap_get_conn_socket(c);
    ap_set_content_type(r, "text/plain");
    if (strcmp(what, "connections") == 0) {
        conn_rec *c1 = c->master ? c->master : c;

        ap_rprintf(r, "%d at once, this one is number %s, from port %s",
                   __atomic_load_n(&connections, __ATOMIC_RELAXED),
                   apr_table_get(c1->notes, "guest-number"),
                   (char *)ap_get_module_config(c1->conn_config, &guest_module));
        return OK;
    }
    if (strcmp(what, "close") == 0) {
        return apr_socket_close(csd) == APR_SUCCESS ? HTTP_FORBIDDEN : HTTP_INTERNAL_SERVER_ERROR;
    }
    if (strcmp(what, "close-of-master") == 0) {
        csd = ap_get_conn_socket(c->master ? c->master : c);
        return apr_socket_close(csd) == APR_SUCCESS ? HTTP_FORBIDDEN : HTTP_INTERNAL_SERVER_ERROR;
    }
    if (strcmp(what, "close-behind-the-head") == 0) {
        ap_rputs("half of it", r);
        ap_rflush(r);
        apr_socket_close(csd);
        ap_rputs(" and the rest", r);
        return OK;
    }
    if (strcmp(what, "close-and-say-nothing") == 0) {
        apr_socket_close(csd);
        return OK;
    }
    if (strcmp(what, "close-in-the-end") == 0) {
        apr_table_setn(r->notes, "guest-close", "1");
    }
    else if (strcmp(what, "shutdown") == 0) {
        apr_socket_shutdown(csd, APR_SHUTDOWN_READWRITE);
    }
    else if (strcmp(what, "options") == 0) {
        apr_socket_opt_set(csd, APR_TCP_NODELAY, 1);
        apr_socket_opt_set(csd, APR_SO_KEEPALIVE, 1);
        apr_socket_timeout_set(csd, apr_time_from_msec(1));
    }
    else if (strcmp(what, "write-into-master") == 0) {
        return ap_rputs(write_into(c->master ? c->master : c, r), r) < 0 ? DONE : OK;
    }
    apr_socket_timeout_get(csd, &timeout);
    ap_rprintf(r, "local %s\nremote %s\ntimeout %d\n", addr_text(csd, APR_LOCAL, r->pool),
               addr_text(csd, APR_REMOTE, r->pool), (int)apr_time_sec(timeout));
    return OK;
}

static int guest_log(request_rec *r)
{
    if (apr_table_get(r->notes, "guest-close")) {
        apr_socket_close(ap_get_conn_socket(r->connection));
    }
    return DECLINED;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_register_input_filter("GUEST_IN", eat, NULL, AP_FTYPE_CONNECTION);
    ap_hook_pre_connection(guest_pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_process_connection(guest_process_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(guest_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(guest_log, NULL, NULL, APR_HOOK_MIDDLE);
}

static const command_rec commands[] = {
    AP_INIT_TAKE2("GuestMaxConnections", set_most, NULL, RSRC_CONF, "number, what befalls more"),
    { .name = NULL },
};

AP_DECLARE_MODULE(guest) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, register_hooks, 0,
};
