/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run of h3load counts, and the report of it. Plain members: whoever
 * sees an event counts it.
 */
#ifndef LOAD_STAT_H
#define LOAD_STAT_H

#include <stddef.h>
#include <stdint.h>
#include "load_opts.h"

#define LOAD_SHA256_HEX 65

/* How often an error code was seen; the rare kinds beyond the array count as the last. */
typedef struct load_codes {
    struct {
        uint64_t code, count;
    } seen[16];
    int n;
} load_codes;

/* Durations in nanoseconds. */
typedef struct load_samples {
    uint64_t *v;
    size_t n, size;
} load_samples;

typedef struct load_response {
    const char *url;
    int status;
    uint64_t bytes;
    char sha256[LOAD_SHA256_HEX];
} load_response;

typedef struct load_stat {
    uint64_t begun, ended; /* nanoseconds, CLOCK_MONOTONIC */

    uint64_t requests; /* begun, repeats not counted */
    uint64_t ok, failed;
    uint64_t repeated; /* turned away by GOAWAY or H3_REQUEST_REJECTED */
    uint64_t unsent;   /* never begun because their connection was lost; also in `failed` */
    uint64_t cut;      /* unfinished at the end of --timeout; also in `failed` */
    uint64_t informational;
    uint64_t status[600];
    load_codes resets;     /* RESET_STREAM of the peer */
    uint64_t stopped;      /* request bodies that the peer did not want to the end */
    uint64_t body, upload; /* bytes: received; sent and acknowledged */

    uint64_t opened, connected, confirmed, resumed, goaway, replaced;
    uint64_t conn_failed; /* before the handshake was over */
    uint64_t conn_lost;   /* after it, with work left */
    uint64_t stateless_resets;
    load_codes transport_closes, app_closes; /* CONNECTION_CLOSE of the peer */
    uint64_t rebinds;

    uint64_t dgram_in, dgram_out, dgram_in_bytes, dgram_out_bytes;
    uint64_t dropped_in, dropped_out; /* by --loss */

    load_samples connect_time, request_time;
    load_response *response; /* with --sha256 */
    size_t nresponses;
    char upload_sha256[LOAD_SHA256_HEX];
    int said; /* complaints on stderr so far */
} load_stat;

void load_stat_code(load_codes *codes, uint64_t code);
void load_stat_sample(load_samples *samples, uint64_t ns);
/* Keeps the digest of one body for the report. */
void load_stat_response(load_stat *st, const char *url, int status, uint64_t bytes,
                        const uint8_t digest[32]);
void load_stat_hex(char hex[LOAD_SHA256_HEX], const uint8_t digest[32]);
/* A line on stderr; the first few only. */
void load_stat_complain(load_stat *st, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The report on stdout. */
void load_stat_print(load_stat *st, const load_opts *o);
/* 1 if the exit code may be 0: all that was asked for was done. */
int load_stat_all_well(const load_stat *st, const load_opts *o);

#endif /* LOAD_STAT_H */
