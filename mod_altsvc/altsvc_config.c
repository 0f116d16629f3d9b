/* SPDX-License-Identifier: Apache-2.0 */
#include "altsvc_config.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "ap_listen.h"
#include "http_core.h"
#include "http_log.h"
#include "mod_http3.h"

APLOG_USE_MODULE(altsvc);

/* Longer values would be no use: clients and proxies limit the size of a field. */
#define MAX_VALUE 4096

/* httpd passes this many arguments and silently drops the rest. */
#define MAX_ARGUMENTS 64

/* A warning with the place of the directive that it is about. */
#define WARN(conf, line, number, ...)                                              \
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, (conf)->server, number "%s:%d: %s", \
                 (line)->filename, (line)->line_num,                               \
                 apr_psprintf((conf)->server->process->pconf, __VA_ARGS__))

/* A directive whose value is a number or one of two words (the second is 1). */
typedef struct {
    const char *name;
    apr_size_t offset;
    int unsaid; /* the default */
    int min, max;
    const char *words[2];
} config_row;

typedef struct {
    int off;
} dir_config;

static const char *set_says(cmd_parms *cmd, void *dir, int argc, char *const argv[]);
static const char *set_row(cmd_parms *cmd, void *dir, const char *arg);
static const char *set_host(cmd_parms *cmd, void *dir, const char *arg);
static const char *add_origin(cmd_parms *cmd, void *dir, const char *arg);
static void finish_server(apr_pool_t *p, altsvc_config *conf, server_rec *main_server);
static void warn_server(const altsvc_config *conf, const altsvc_config *base);
static const altsvc_config *find_origin(const altsvc_config_origin *origin,
                                        const altsvc_config *conf, server_rec *main_server);

static APR_OPTIONAL_FN_TYPE(http3_alt_port) * http3_alt_port_fn;
static APR_OPTIONAL_FN_TYPE(http3_planned_port) * http3_planned_port_fn;
static APR_OPTIONAL_FN_TYPE(http3_off_reason) * http3_off_reason_fn;

#define AT(field) APR_OFFSETOF(altsvc_config, field)

static const config_row rows[] = {
    { "AltSvcMode", AT(frame), 0, 0, 1, { "header", "frame" } },
    { "AltSvcMaxAge", AT(max_age), 86400, 1, ALTSVC_VALUE_MAX_AGE, { NULL, NULL } },
    { "AltSvcPersist", AT(persist), 0, 0, 1, { "off", "on" } },
    { "AltSvcPort", AT(port), 0, 1, 65535, { NULL, NULL } },
    { "AltSvcOverride", AT(override), 1, 0, 1, { "off", "on" } },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))
#define VALUE(conf, row) (*(int *)((char *)(conf) + (row)->offset))

const command_rec altsvc_config_cmds[] = {
    AP_INIT_TAKE_ARGV("AltSvc", set_says, NULL, RSRC_CONF | ACCESS_CONF | OR_FILEINFO,
                      "auto, off, clear, or alternatives such as h3=\":443\"; in a directory: off"),
    AP_INIT_TAKE1("AltSvcMode", set_row, (void *)&rows[0], RSRC_CONF,
                  "header, or frame: an ALTSVC frame on HTTP/2 connections instead"),
    AP_INIT_TAKE1("AltSvcMaxAge", set_row, (void *)&rows[1], RSRC_CONF,
                  "seconds for which clients keep an alternative"),
    AP_INIT_TAKE1("AltSvcPersist", set_row, (void *)&rows[2], RSRC_CONF,
                  "on: clients keep alternatives when their network changes"),
    AP_INIT_TAKE1("AltSvcPort", set_row, (void *)&rows[3], RSRC_CONF,
                  "the UDP port that clients call, where it is not the one that is bound here"),
    AP_INIT_TAKE1("AltSvcOverride", set_row, (void *)&rows[4], RSRC_CONF,
                  "off: a backend's or script's own Alt-Svc stays"),
    AP_INIT_TAKE1("AltSvcHost", set_host, NULL, RSRC_CONF,
                  "the host that clients call for `auto`, where it is not the origin's own"),
    AP_INIT_ITERATE("AltSvcOrigins", add_origin, NULL, RSRC_CONF,
                    "further names, host or host:port, that the ALTSVC frame also speaks for"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

void *altsvc_config_create_server(apr_pool_t *p, server_rec *s)
{
    altsvc_config *conf = apr_pcalloc(p, sizeof(*conf));
    apr_size_t i;

    conf->server = s;
    for (i = 0; i < ROWS; i++) {
        VALUE(conf, &rows[i]) = -1;
    }
    return conf;
}

void *altsvc_config_merge_server(apr_pool_t *p, void *basev, void *addv)
{
    const altsvc_config *base = basev, *add = addv;
    altsvc_config *conf = apr_pmemdup(p, add, sizeof(*conf));
    apr_size_t i;

    if (add->says == ALTSVC_SILENT) {
        conf->says = base->says;
        conf->line = base->line;
        conf->alts = base->alts;
        conf->has_auto = base->has_auto;
    }
    for (i = 0; i < ROWS; i++) {
        if (VALUE(conf, &rows[i]) < 0) {
            VALUE(conf, &rows[i]) = VALUE(base, &rows[i]);
        }
    }
    if (!conf->host) {
        conf->host = base->host;
    }
    if (!conf->origins) {
        conf->origins = base->origins;
    }
    return conf;
}

void *altsvc_config_create_dir(apr_pool_t *p, char *dir)
{
    return apr_pcalloc(p, sizeof(dir_config));
}

void *altsvc_config_merge_dir(apr_pool_t *p, void *basev, void *addv)
{
    dir_config *dir = apr_palloc(p, sizeof(*dir));

    dir->off = ((dir_config *)basev)->off || ((dir_config *)addv)->off;
    return dir;
}

static altsvc_config *server_config(const cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config, &altsvc_module);
}

/* Reads `auto` and values into conf->alts. */
static const char *set_list(cmd_parms *cmd, altsvc_config *conf, int argc, char *const argv[])
{
    const altsvc_value_alt by_itself = { "h3", "", 0, -1, -1 };
    const char *mistake, *text = "";
    int i;

    conf->alts = apr_array_make(cmd->pool, argc, sizeof(altsvc_value_alt));
    for (i = 0; i < argc; i++) {
        if (!ap_cstr_casecmp(argv[i], "auto")) {
            if (conf->has_auto) {
                return "AltSvc: auto is there twice";
            }
            conf->has_auto = 1;
            APR_ARRAY_PUSH(conf->alts, altsvc_value_alt) = by_itself;
            continue;
        }
        if (!ap_cstr_casecmp(argv[i], "off") || !ap_cstr_casecmp(argv[i], "clear")) {
            return apr_pstrcat(cmd->pool, "AltSvc: ", argv[i], " stands alone", NULL);
        }
        mistake = altsvc_value_parse(cmd->pool, argv[i], conf->alts);
        if (mistake) {
            return apr_pstrcat(cmd->pool, "AltSvc: ", mistake, NULL);
        }
        text = apr_pstrcat(cmd->pool, text, argv[i], NULL);
    }
    return strlen(text) > MAX_VALUE
               ? apr_psprintf(cmd->pool, "AltSvc: the value is longer than %d octets", MAX_VALUE)
               : NULL;
}

static const char *set_says(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    altsvc_config *conf = server_config(cmd);
    const char *mistake = ap_check_cmd_context(cmd, NOT_IN_LIMIT);

    if (mistake) {
        return mistake;
    }
    if (argc == 0) {
        return "AltSvc needs auto, off, clear or alternatives such as h3=\":443\"";
    }
    if (argc >= MAX_ARGUMENTS) {
        return "AltSvc has too many arguments; join them with commas";
    }
    if (cmd->path) {
        if (argc != 1 || ap_cstr_casecmp(argv[0], "off")) {
            return apr_pstrcat(cmd->pool, "AltSvc can only be off in a directory, not ", argv[0],
                               NULL);
        }
        ((dir_config *)dir)->off = 1;
        return NULL;
    }
    conf->line = cmd->directive;
    conf->alts = NULL;
    conf->has_auto = 0;
    if (argc == 1 && !ap_cstr_casecmp(argv[0], "off")) {
        conf->says = ALTSVC_OFF;
        return NULL;
    }
    if (argc == 1 && !ap_cstr_casecmp(argv[0], "clear")) {
        conf->says = ALTSVC_CLEAR;
        return NULL;
    }
    conf->says = ALTSVC_LIST;
    return set_list(cmd, conf, argc, argv);
}

static const char *set_row(cmd_parms *cmd, void *dir, const char *arg)
{
    const config_row *row = cmd->info;
    int *value = &VALUE(server_config(cmd), row);
    int i;

    server_config(cmd)->lone = cmd->directive;
    if (!row->words[0]) {
        return altsvc_value_number(cmd->pool, row->name, arg, row->min, row->max, value);
    }
    for (i = 0; i < 2; i++) {
        if (!ap_cstr_casecmp(arg, row->words[i])) {
            *value = i;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "%s must be %s or %s, not '%s'", row->name, row->words[0],
                        row->words[1], arg);
}

static const char *set_host(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *mistake = altsvc_value_check_host(cmd->pool, arg);

    server_config(cmd)->lone = cmd->directive;
    server_config(cmd)->host = arg;
    return mistake ? apr_pstrcat(cmd->pool, "AltSvcHost: ", mistake, NULL) : NULL;
}

/* Names only: whether a certificate covers one is judged by its dNSNames. */
static const char *add_origin(cmd_parms *cmd, void *dir, const char *arg)
{
    altsvc_config *conf = server_config(cmd);
    altsvc_config_origin origin = { arg, 0, 0, NULL };
    char *host;
    const char *mistake = NULL, *colon = strchr(arg, ':');

    if (colon && !strchr(colon + 1, ':')) {
        origin.host = apr_pstrndup(cmd->pool, arg, colon - arg);
        mistake = altsvc_value_number(cmd->pool, "the port", colon + 1, 1, 65535, &origin.port);
    }
    if (!mistake) {
        mistake = altsvc_value_check_host(cmd->pool, origin.host);
    }
    if (!mistake && (*arg == '[' || strspn(origin.host, "0123456789.") == strlen(origin.host))) {
        mistake = apr_pstrcat(cmd->pool, "'", arg, "' is an address, not a name", NULL);
    }
    if (mistake) {
        return apr_pstrcat(cmd->pool, "AltSvcOrigins: ", mistake, NULL);
    }
    if (!conf->origins) {
        conf->origins = apr_array_make(cmd->pool, 2, sizeof(altsvc_config_origin));
    }
    origin.host = host = apr_pstrdup(cmd->pool, origin.host);
    ap_str_tolower(host);
    APR_ARRAY_PUSH(conf->origins, altsvc_config_origin) = origin;
    conf->lone = cmd->directive;
    return NULL;
}

/* At startup httpd reads its configuration twice; warnings are for the second time. */
static int is_time_to_warn(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
           || ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG;
}

void altsvc_config_finish(apr_pool_t *p, server_rec *main_server)
{
    server_rec *s;

    http3_alt_port_fn = APR_RETRIEVE_OPTIONAL_FN(http3_alt_port);
    http3_planned_port_fn = APR_RETRIEVE_OPTIONAL_FN(http3_planned_port);
    http3_off_reason_fn = APR_RETRIEVE_OPTIONAL_FN(http3_off_reason);
    for (s = main_server; s; s = s->next) {
        /* Virtual hosts without a directive of ours share the main server's configuration. */
        altsvc_config *conf = apr_pmemdup(p, altsvc_config_get(s), sizeof(*conf));

        conf->server = s;
        ap_set_module_config(s->module_config, &altsvc_module, conf);
    }
    for (s = main_server; s; s = s->next) {
        finish_server(p, ap_get_module_config(s->module_config, &altsvc_module), main_server);
    }
    for (s = main_server; s && is_time_to_warn(); s = s->next) {
        warn_server(altsvc_config_get(s), altsvc_config_get(main_server));
    }
}

static int listens_here(int port)
{
    const ap_listen_rec *listener;

    for (listener = ap_listeners; listener; listener = listener->next) {
        if (listener->bind_addr->port == port) {
            return 1;
        }
    }
    return 0;
}

static void finish_server(apr_pool_t *p, altsvc_config *conf, server_rec *main_server)
{
    apr_size_t row;
    int i;

    for (row = 0; row < ROWS; row++) {
        if (VALUE(conf, &rows[row]) < 0) {
            VALUE(conf, &rows[row]) = rows[row].unsaid;
        }
    }
    if (conf->says == ALTSVC_LIST && !conf->has_auto) {
        conf->fixed = altsvc_config_value(p, conf, NULL);
    }
    if (conf->origins) {
        /* A merged array is the main server's too, but siblings are each server's own. */
        conf->origins = apr_array_copy(p, conf->origins);
        for (i = 0; i < conf->origins->nelts; i++) {
            altsvc_config_origin *origin = &APR_ARRAY_IDX(conf->origins, i, altsvc_config_origin);

            origin->of = find_origin(origin, conf, main_server);
            origin->is_here = listens_here(origin->port);
        }
    }
}

/* What the main server says is for its virtual hosts: an AltSvc in one of them is enough. */
static void warn_silent(const altsvc_config *conf, const altsvc_config *base)
{
    const server_rec *s;

    if (!conf->lone || (conf != base && conf->lone == base->lone)) {
        return;
    }
    for (s = conf == base ? base->server : NULL; s; s = s->next) {
        if (altsvc_config_get(s)->says != ALTSVC_SILENT) {
            return;
        }
    }
    WARN(conf, conf->lone, APLOGNO(20501), "%s has no effect where there is no AltSvc directive",
         conf->lone->directive);
}

/* One line for each directive, not for each virtual host that inherits it. */
static void warn_server(const altsvc_config *conf, const altsvc_config *base)
{
    int i;

    if (conf->says == ALTSVC_SILENT) {
        warn_silent(conf, base);
    }
    if (conf->says == ALTSVC_SILENT || conf->says == ALTSVC_OFF
        || (conf != base && conf->line == base->line)) {
        return;
    }
    if (conf->has_auto && !http3_alt_port_fn) {
        WARN(conf, conf->line, APLOGNO(20502),
             "AltSvc auto: mod_http3 is not loaded, so there is no HTTP/3 to advertise");
    }
    if (!conf->has_auto && (conf->port || conf->host)) {
        WARN(conf, conf->line, APLOGNO(20503),
             "AltSvcPort and AltSvcHost have an effect on AltSvc auto only");
    }
    if (conf->frame && !ap_find_linked_module("mod_http2.c")) {
        WARN(conf, conf->line, APLOGNO(20504),
             "AltSvcMode frame: mod_http2 is not loaded, so the header is all there is");
    }
    if (conf->origins && !conf->frame) {
        WARN(conf, conf->line, APLOGNO(20505),
             "AltSvcOrigins has an effect with AltSvcMode frame only");
    }
    for (i = 0; conf->origins && i < conf->origins->nelts; i++) {
        const altsvc_config_origin *origin = &APR_ARRAY_IDX(conf->origins, i, altsvc_config_origin);

        if (origin->of->says == ALTSVC_SILENT || origin->of->says == ALTSVC_OFF) {
            WARN(conf, conf->line, APLOGNO(20506),
                 "AltSvcOrigins: the virtual host of %s advertises nothing", origin->host);
        }
    }
}

const altsvc_config *altsvc_config_get(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &altsvc_module);
}

/* An error page often lies in another directory; that of the request that failed counts. */
int altsvc_config_off_in_directory(const request_rec *r)
{
    for (; r; r = r->prev) {
        const dir_config *dir =
            r->per_dir_config ? ap_get_module_config(r->per_dir_config, &altsvc_module) : NULL;

        if (dir && dir->off) {
            return 1;
        }
    }
    return 0;
}

static int is_in(const apr_array_header_t *names, const char *host, int wild)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (name && (wild ? !ap_strcasecmp_match(host, name) : !strcasecmp(host, name))) {
            return 1;
        }
    }
    return 0;
}

int altsvc_config_answers_to(const server_rec *s, const char *host)
{
    return (s->server_hostname && !strcasecmp(host, s->server_hostname)) || is_in(s->names, host, 0)
           || is_in(s->wild_names, host, 1);
}

static int listens_on(const server_rec *s, int port)
{
    const server_addr_rec *addr;

    for (addr = s->addrs; addr; addr = addr->next) {
        if (addr->host_port == 0 || addr->host_port == port) {
            return 1;
        }
    }
    return 0;
}

static int share_a_port(const server_rec *a, const server_rec *b)
{
    const server_addr_rec *addr;

    for (addr = a->addrs; addr; addr = addr->next) {
        if (addr->host_port == 0 || listens_on(b, addr->host_port)) {
            return 1;
        }
    }
    return 0;
}

/*
 * The virtual host that httpd will find: by name among those of the port, else the first of them. A
 * port that nobody listens on is one of the outside world. The list of servers runs from the last
 * to the first.
 */
static const altsvc_config *find_origin(const altsvc_config_origin *origin,
                                        const altsvc_config *conf, server_rec *main_server)
{
    const altsvc_config *best = conf;
    int points = 0;
    server_rec *s;

    for (s = main_server->next; s; s = s->next) {
        int by_port = origin->port && listens_on(s, origin->port);
        int by_name = altsvc_config_answers_to(s, origin->host);

        if ((by_port || share_a_port(conf->server, s)) && 2 * by_name + by_port >= points) {
            points = 2 * by_name + by_port;
            best = altsvc_config_get(s);
        }
    }
    return best;
}

int altsvc_config_auto_port(const altsvc_config *conf, const conn_rec *c)
{
    int port;

    if (c) {
        port = http3_alt_port_fn ? http3_alt_port_fn(c, conf->server) : 0;
    }
    else {
        port = http3_planned_port_fn ? http3_planned_port_fn(conf->server) : 0;
    }
    return port && conf->port ? conf->port : port;
}

const char *altsvc_config_auto_off_reason(const altsvc_config *conf)
{
    return http3_off_reason_fn ? http3_off_reason_fn(conf->server) : "mod_http3 is not loaded";
}

const char *altsvc_config_value(apr_pool_t *p, const altsvc_config *conf, const conn_rec *c)
{
    const char *value = NULL;
    int i;

    if (conf->says != ALTSVC_LIST) {
        return conf->says == ALTSVC_CLEAR ? "clear" : NULL;
    }
    if (conf->fixed) {
        return conf->fixed;
    }
    for (i = 0; i < conf->alts->nelts; i++) {
        altsvc_value_alt alt = APR_ARRAY_IDX(conf->alts, i, altsvc_value_alt);
        const char *one;

        if (!alt.port) {
            alt.port = altsvc_config_auto_port(conf, c);
            alt.host = conf->host ? conf->host : "";
        }
        if (alt.port) {
            one = altsvc_value_format(p, &alt, conf->max_age, conf->persist);
            value = value ? apr_pstrcat(p, value, ", ", one, NULL) : one;
        }
    }
    return value;
}

const char *altsvc_config_sibling_value(apr_pool_t *p, const altsvc_config_origin *origin,
                                        const conn_rec *c)
{
    apr_sockaddr_t address = *c->local_addr;
    conn_rec there = *c;

    if (origin->is_here) {
        address.port = (apr_port_t)origin->port;
        there.local_addr = &address;
    }
    return altsvc_config_value(p, origin->of, &there);
}
