/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qlog file of one connection, for those who look for a fault.
 *
 * Part of its quic_conn, on the I/O thread, which waits for the disk: not for production. All zeros
 * is none.
 */
#ifndef QUIC_QLOG_H
#define QUIC_QLOG_H

#include <stddef.h>
#include <stdio.h>
#include <ngtcp2/ngtcp2.h>
#include "quic/quic_log.h"

typedef struct quic_qlog {
    FILE *file; /* NULL: none */
    const char *dir;
    const ngtcp2_cid *name;
} quic_qlog;

/*
 * Makes DIR/NAME.sqlog, `name` in hexadecimal; both outlive it. Where that fails there is none, and
 * a line in `log`.
 */
void quic_qlog_open(quic_qlog *q, const char *dir, const ngtcp2_cid *name, const quic_log *log);

void quic_qlog_write(quic_qlog *q, const void *data, size_t len);

/* Takes the file's name away: another connection of the same name will come. */
void quic_qlog_forget(const quic_qlog *q);

void quic_qlog_close(quic_qlog *q);

#endif /* QUIC_QLOG_H */
