/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/h3_config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <apr_file_info.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "http_core.h"
#include "http_log.h"
#include "conf/h3_sysctl.h"

APLOG_USE_MODULE(http3);

#define KIB 1024LL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SECONDS(n) ((apr_int64_t)(n)*APR_USEC_PER_SEC)

#define UNSET (-1)
#define CC_AUTO (QUIC_CC_RENO + 1)
#define WORKERS_MAX 4095 /* a worker's index has 12 bits in conn_rec.id */

typedef enum { KIND_INT, KIND_INT64, KIND_TIME, KIND_CC } row_kind;

typedef struct {
    const char *name;
    row_kind kind;
    size_t offset;
    apr_int64_t min, max, dflt; /* of the directive; times in microseconds */
    int main_only;              /* not inside <VirtualHost> */
} config_row;

#define ROW(name, kind, member, min, max, dflt, main_only)                 \
    {                                                                      \
        name, kind, offsetof(h3_config, member), min, max, dflt, main_only \
    }

static const config_row rows[] = {
    ROW("H3MaxSessionStreams", KIND_INT, max_session_streams, 1, 65535, 100, 0),
    ROW("H3WindowSize", KIND_INT64, window_size, 16 * KIB, GIB, 8 * MIB, 0),
    ROW("H3ConnWindowSize", KIND_INT64, conn_window_size, 16 * KIB, GIB, 16 * MIB, 0),
    ROW("H3StreamMaxMemSize", KIND_INT64, stream_max_mem, 16 * KIB, GIB, 8 * MIB, 0),
    ROW("H3ConnMaxMemSize", KIND_INT64, conn_max_mem, 64 * KIB, 4 * GIB, 32 * MIB, 0),
    ROW("H3MaxMemSize", KIND_INT64, max_mem, MIB, 64 * GIB, 0, 1),
    ROW("H3MinWorkers", KIND_INT, min_workers, 1, WORKERS_MAX, 0, 1),
    ROW("H3MaxWorkers", KIND_INT, max_workers, 1, WORKERS_MAX, 0, 1),
    ROW("H3MaxWorkerIdleSeconds", KIND_INT64, max_worker_idle_secs, 1, 86400, 600, 1),
    ROW("H3IdleTimeout", KIND_TIME, idle_timeout, APR_USEC_PER_SEC / 10, SECONDS(3600), SECONDS(30),
        0),
    ROW("H3HandshakeTimeout", KIND_TIME, handshake_timeout, APR_USEC_PER_SEC / 10, SECONDS(300),
        SECONDS(10), 1),
    ROW("H3GracefulTimeout", KIND_TIME, graceful_timeout, 0, SECONDS(86400), SECONDS(30), 1),
    ROW("H3CongestionControl", KIND_CC, congestion, QUIC_CC_BBR, CC_AUTO, QUIC_CC_CUBIC, 0),
    ROW("H3MaxConnections", KIND_INT, max_connections, 1, 1000000, 10000, 1),
    ROW("H3SocketBufferSize", KIND_INT, socket_buffer_size, 16 * KIB, 512 * MIB, 4 * MIB, 1),
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static apr_int64_t row_get(const config_row *row, const h3_config *cfg);
static void row_set(const config_row *row, h3_config *cfg, apr_int64_t value);
static const char *row_text(const config_row *row, apr_int64_t value, apr_pool_t *p);
static const char *cc_text(const h3_config *cfg, apr_pool_t *p);
static const config_row *row_of(cmd_parms *cmd, const char **err);

h3_config *h3_config_get(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &http3_module);
}

h3_config *h3_config_create(apr_pool_t *p, server_rec *s)
{
    h3_config *cfg = apr_pcalloc(p, sizeof(*cfg));
    size_t i;

    cfg->server = s;
    cfg->listens = apr_array_make(p, 0, sizeof(struct h3_listen *));
    for (i = 0; i < NROWS; ++i) {
        row_set(&rows[i], cfg, UNSET);
    }
    return cfg;
}

h3_config *h3_config_merge(apr_pool_t *p, const h3_config *base, const h3_config *add)
{
    h3_config *cfg = apr_pmemdup(p, add, sizeof(*add));
    size_t i;

    for (i = 0; i < NROWS; ++i) {
        if (row_get(&rows[i], add) == UNSET) {
            row_set(&rows[i], cfg, row_get(&rows[i], base));
        }
    }
    cfg->cc_at = add->cc_at ? add->cc_at : base->cc_at;
    cfg->qlog_dir = add->qlog_dir ? add->qlog_dir : base->qlog_dir;
    cfg->listens = base->listens;
    return cfg;
}

apr_status_t h3_config_complete(server_rec *main_server, apr_pool_t *ptemp)
{
    const h3_config *main_cfg = h3_config_get(main_server);
    quic_cc tcp = quic_cc_like_tcp(h3_sysctl_get("net/ipv4/tcp_congestion_control", ptemp));
    server_rec *s;
    size_t i;

    for (s = main_server; s; s = s->next) {
        h3_config *cfg = h3_config_get(s);

        cfg->server = s;
        for (i = 0; i < NROWS; ++i) {
            if (row_get(&rows[i], cfg) == UNSET) {
                row_set(&rows[i], cfg, rows[i].dflt);
            }
        }
        cfg->cc = cfg->congestion == CC_AUTO ? tcp : (quic_cc)cfg->congestion;
    }
    if (main_cfg->min_workers && main_cfg->max_workers
        && main_cfg->min_workers > main_cfg->max_workers) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, main_server,
                     APLOGNO(20102) "H3MinWorkers (%d) is above H3MaxWorkers (%d)",
                     main_cfg->min_workers, main_cfg->max_workers);
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

void h3_config_each(const server_rec *s, const server_rec *other, apr_pool_t *p,
                    void (*fn)(void *baton, const char *name, const char *value), void *baton)
{
    const h3_config *cfg = h3_config_get(s);
    size_t i;

    for (i = 0; i < NROWS; ++i) {
        apr_int64_t value = row_get(&rows[i], cfg);

        if (!other || value != row_get(&rows[i], h3_config_get(other))) {
            fn(baton, rows[i].name,
               rows[i].kind == KIND_CC ? cc_text(cfg, p) : row_text(&rows[i], value, p));
        }
    }
}

/* ---- rows ---- */

static int is_int(const config_row *row)
{
    return row->kind == KIND_INT || row->kind == KIND_CC;
}

static apr_int64_t row_get(const config_row *row, const h3_config *cfg)
{
    const char *at = (const char *)cfg + row->offset;

    return is_int(row) ? *(const int *)at : *(const apr_int64_t *)at;
}

static void row_set(const config_row *row, h3_config *cfg, apr_int64_t value)
{
    char *at = (char *)cfg + row->offset;

    if (is_int(row)) {
        *(int *)at = (int)value;
    }
    else {
        *(apr_int64_t *)at = value;
    }
}

static const char *row_text(const config_row *row, apr_int64_t value, apr_pool_t *p)
{
    if (row->dflt == 0 && value == 0) {
        return row->kind == KIND_INT ? "(from the MPM)" : "(from the memory)";
    }
    if (row->kind != KIND_TIME) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, value);
    }
    if (value % APR_USEC_PER_SEC) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT "ms", value / 1000);
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT "s", value / APR_USEC_PER_SEC);
}

static const char *cc_text(const h3_config *cfg, apr_pool_t *p)
{
    const char *name = quic_cc_name(cfg->cc);

    return cfg->congestion == CC_AUTO ? apr_psprintf(p, "auto (%s)", name) : name;
}

/* ---- setters ---- */

static const config_row *row_of(cmd_parms *cmd, const char **err)
{
    size_t i = 0;

    while (strcmp(rows[i].name, cmd->cmd->name) != 0) {
        ++i;
        ap_assert(i < NROWS); /* each directive with a row setter has a row */
    }
    *err = ap_check_cmd_context(cmd, rows[i].main_only ? GLOBAL_ONLY : NOT_IN_DIR_CONTEXT);
    return &rows[i];
}

const char *h3_config_set_number(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err;
    const config_row *row = row_of(cmd, &err);
    apr_int64_t value;
    char *end;

    (void)dir;
    if (err) {
        return err;
    }
    errno = 0;
    value = apr_strtoi64(arg, &end, 10);
    if (errno || end == arg || *end || value < row->min || value > row->max) {
        return apr_psprintf(cmd->pool,
                            "%s must be a number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT
                            ", not '%s'",
                            row->name, row->min, row->max, arg);
    }
    row_set(row, h3_config_get(cmd->server), value);
    return NULL;
}

const char *h3_config_set_time(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *err;
    const config_row *row = row_of(cmd, &err);
    apr_interval_time_t value;

    (void)dir;
    if (err) {
        return err;
    }
    /* The parser takes "soon" for no seconds. */
    if (!apr_isdigit(*arg) || ap_timeout_parameter_parse(arg, &value, "s") != APR_SUCCESS
        || value < row->min || value > row->max) {
        return apr_psprintf(cmd->pool,
                            "%s must be a time from %s to %s (such as 30, 30s, 500ms), "
                            "not '%s'",
                            row->name, row_text(row, row->min, cmd->temp_pool),
                            row_text(row, row->max, cmd->temp_pool), arg);
    }
    row_set(row, h3_config_get(cmd->server), value);
    return NULL;
}

const char *h3_config_set_congestion(cmd_parms *cmd, void *dir, const char *arg)
{
    h3_config *cfg = h3_config_get(cmd->server);
    const char *err;
    const config_row *row = row_of(cmd, &err);
    quic_cc cc;

    (void)dir;
    if (err) {
        return err;
    }
    if (strcasecmp(arg, "auto") == 0) {
        row_set(row, cfg, CC_AUTO);
    }
    else if (quic_cc_parse(&cc, arg) == 0) {
        row_set(row, cfg, cc);
    }
    else {
        return apr_psprintf(cmd->pool, "%s must be auto, bbr, cubic or reno, not '%s'", row->name,
                            arg);
    }
    cfg->cc_at = cmd->directive;
    return NULL;
}

const char *h3_config_set_qlog_dir(cmd_parms *cmd, void *dir, const char *arg)
{
    h3_config *cfg = h3_config_get(cmd->server);
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_finfo_t finfo;

    (void)dir;
    if (err) {
        return err;
    }
    cfg->qlog_dir = ap_server_root_relative(cmd->pool, arg);
    if (!cfg->qlog_dir
        || apr_stat(&finfo, cfg->qlog_dir, APR_FINFO_TYPE, cmd->temp_pool) != APR_SUCCESS
        || finfo.filetype != APR_DIR) {
        return apr_psprintf(cmd->pool, "H3QlogDir: '%s' is not a directory", arg);
    }
    return NULL;
}
