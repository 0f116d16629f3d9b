/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One SSL* directive as it was given, with the place where it stands.
 *
 * Made while the configuration (or an .htaccess file) is read; read-only from then on, for any
 * thread. NULL stands for a directive that was not given.
 */
#ifndef H3_SSL_SETTING_H
#define H3_SSL_SETTING_H

#include <strings.h>
#include "httpd.h"

typedef struct h3_ssl_setting {
    const char *directive; /* its name */
    const char *value;     /* arguments; file names absolute */
    const char *file;
    int line;
    const server_rec *server; /* where it stands; the main one's directories are everybody's */
} h3_ssl_setting;

/* A flag that is on? */
static inline int h3_ssl_setting_is_on(const h3_ssl_setting *s)
{
    return s && strcasecmp(s->value, "on") == 0;
}

/* An SSLVerifyClient that asks clients for a certificate? */
static inline int h3_ssl_setting_verifies(const h3_ssl_setting *s)
{
    return s && strcasecmp(s->value, "none") != 0 && strcasecmp(s->value, "off") != 0;
}

#endif /* H3_SSL_SETTING_H */
