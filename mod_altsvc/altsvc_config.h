/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directives of mod_altsvc, merged per virtual host, and the one place that knows what a
 * virtual host advertises at this moment.
 *
 * The parent writes configurations until check_config is over; then they are read-only, and
 * every function below may be called on any thread.
 */
#ifndef ALTSVC_CONFIG_H
#define ALTSVC_CONFIG_H

#include "httpd.h"
#include "http_config.h"
#include "altsvc_value.h"

extern module AP_MODULE_DECLARE_DATA altsvc_module;

typedef enum altsvc_config_says {
    ALTSVC_SILENT, /* no AltSvc anywhere: the module leaves this virtual host alone */
    ALTSVC_OFF,
    ALTSVC_CLEAR,
    ALTSVC_LIST
} altsvc_config_says;

struct altsvc_config;

/* A sibling name of AltSvcOrigins. */
typedef struct altsvc_config_origin {
    const char *host;               /* in lower case, as origins are compared */
    int port;                       /* 0: that of the connection's own origin */
    int is_here;                    /* `port` is one of ours, not of the outside world */
    const struct altsvc_config *of; /* the virtual host that answers for the name */
} altsvc_config_origin;

/* -1 in a number: the directive has not been seen; check_config fills in the default. */
typedef struct altsvc_config {
    server_rec *server;
    altsvc_config_says says;
    const ap_directive_t *line; /* of AltSvc, for messages; NULL with ALTSVC_SILENT */
    const ap_directive_t *lone; /* another directive of this very server, or NULL */
    apr_array_header_t *alts;   /* altsvc_value_alt; port 0 stands for `auto` */
    int has_auto;
    int frame;                   /* AltSvcMode */
    int max_age;                 /* AltSvcMaxAge, seconds */
    int persist;                 /* AltSvcPersist */
    int port;                    /* AltSvcPort, 0: the one that is bound */
    int override;                /* AltSvcOverride */
    const char *host;            /* AltSvcHost */
    apr_array_header_t *origins; /* AltSvcOrigins: altsvc_config_origin */
    const char *fixed;           /* the value where it never changes */
} altsvc_config;

extern const command_rec altsvc_config_cmds[];

void *altsvc_config_create_server(apr_pool_t *p, server_rec *s);
void *altsvc_config_merge_server(apr_pool_t *p, void *base, void *add);
void *altsvc_config_create_dir(apr_pool_t *p, char *dir);
void *altsvc_config_merge_dir(apr_pool_t *p, void *base, void *add);

/*
 * The end of check_config: defaults, values that never change, and warnings about what has no
 * effect. Asks which optional functions mod_http3 offers.
 */
void altsvc_config_finish(apr_pool_t *p, server_rec *main_server);

const altsvc_config *altsvc_config_get(const server_rec *s);

/*
 * Does a directory's `AltSvc off` apply to this request, or to one that it was redirected from?
 */
int altsvc_config_off_in_directory(const request_rec *r);

/* Is `host` the ServerName of `s` or one of its ServerAliases? */
int altsvc_config_answers_to(const server_rec *s, const char *host);

/*
 * The field value that connection `c` of this virtual host gets now, or NULL: nothing. Where `c` is
 * NULL, what the configuration plans, before any socket is open.
 */
const char *altsvc_config_value(apr_pool_t *p, const altsvc_config *conf, const conn_rec *c);

/*
 * The same for a sibling of connection `c`'s virtual host. Where its port is another of this
 * server's, `auto` is the UDP port that stands for that one.
 */
const char *altsvc_config_sibling_value(apr_pool_t *p, const altsvc_config_origin *origin,
                                        const conn_rec *c);

/*
 * The UDP port that stands for `auto`, 0: none. `c` as above.
 */
int altsvc_config_auto_port(const altsvc_config *conf, const conn_rec *c);

/* Why `auto` says nothing, as half a sentence, or NULL where it does. */
const char *altsvc_config_auto_off_reason(const altsvc_config *conf);

#endif /* ALTSVC_CONFIG_H */
