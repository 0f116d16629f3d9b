/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines about a connection: its ID and its client's address stand in front of each.
 *
 * On the I/O thread. A quic_log is part of its quic_conn. This is where quic/ meets httpd's logs,
 * and the only file of it that sees httpd's headers.
 */
#ifndef QUIC_LOG_H
#define QUIC_LOG_H

#include "httpd.h"
#include "http_log.h"
#include "quic/quic_addr.h"

typedef struct quic_log {
    server_rec *server;
    const char *id;          /* the first eight characters are shown */
    const quic_addr *remote; /* as it is when the line is written */
} quic_log;

/*
 * A line about the connection of `log`, at an APLOG_ level. `status` is an apr_status_t or errno
 * whose text follows the message, 0: none. Then a format, as printf's, and its arguments, which are
 * not even evaluated where the level is off.
 */
#define QUIC_LOG(log, level, status, ...)                                                 \
    do {                                                                                  \
        if (quic_log_is_on((log), (level))) {                                             \
            quic_log_line((log), __FILE__, __LINE__, (level), (status), "", __VA_ARGS__); \
        }                                                                                 \
    } while (0)

/* The same with its number, which every line of level WARNING and above has: APLOGNO(20400). */
#define QUIC_LOG_NO(log, level, status, no, ...)                                            \
    do {                                                                                    \
        if (quic_log_is_on((log), (level))) {                                               \
            quic_log_line((log), __FILE__, __LINE__, (level), (status), (no), __VA_ARGS__); \
        }                                                                                   \
    } while (0)

/* For the macros. */
int quic_log_is_on(const quic_log *log, int level);
void quic_log_line(const quic_log *log, const char *file, int line, int level, apr_status_t status,
                   const char *no, const char *fmt, ...) __attribute__((format(printf, 7, 8)));

#endif /* QUIC_LOG_H */
