/* SPDX-License-Identifier: Apache-2.0 */
#include "load_stat.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLAINTS_MAX 20
#define CODES_MAX ((int)(sizeof(((load_codes *)0)->seen) / sizeof(((load_codes *)0)->seen[0])))

static void print_json(load_stat *st);
static void print_text(load_stat *st);
static double seconds_of(const load_stat *st);

void load_stat_code(load_codes *codes, uint64_t code)
{
    int i;

    for (i = 0; i < codes->n && codes->seen[i].code != code; ++i) {}
    if (i == CODES_MAX) {
        --i;
    }
    else if (i == codes->n) {
        codes->seen[codes->n++].code = code;
    }
    ++codes->seen[i].count;
}

void load_stat_sample(load_samples *samples, uint64_t ns)
{
    if (samples->n == samples->size) {
        size_t size = samples->size ? 2 * samples->size : 1024;
        uint64_t *v = realloc(samples->v, size * sizeof(*v));

        if (!v) {
            return;
        }
        samples->v = v;
        samples->size = size;
    }
    samples->v[samples->n++] = ns;
}

void load_stat_hex(char hex[LOAD_SHA256_HEX], const uint8_t digest[32])
{
    int i;

    for (i = 0; i < 32; ++i) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

void load_stat_response(load_stat *st, const char *url, int status, uint64_t bytes,
                        const uint8_t digest[32])
{
    load_response *r = realloc(st->response, (st->nresponses + 1) * sizeof(*r));

    if (!r) {
        load_stat_complain(st, "out of memory for the digest of %s", url);
        return;
    }
    st->response = r;
    r += st->nresponses++;
    r->url = url;
    r->status = status;
    r->bytes = bytes;
    load_stat_hex(r->sha256, digest);
}

void load_stat_complain(load_stat *st, const char *format, ...)
{
    va_list ap;

    if (st->said++ >= COMPLAINTS_MAX) {
        return;
    }
    fputs("h3load: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs(st->said == COMPLAINTS_MAX ? " (and no more of these)\n" : "\n", stderr);
}

void load_stat_print(load_stat *st, const load_opts *o)
{
    size_t i;

    if (o->json) {
        print_json(st);
        return;
    }
    if (o->sha256) {
        for (i = 0; i < st->nresponses; ++i) {
            printf("%s  %s\n", st->response[i].sha256, st->response[i].url);
        }
    }
    print_text(st);
}

int load_stat_all_well(const load_stat *st, const load_opts *o)
{
    if (st->failed || st->conn_failed || st->conn_lost || !st->connected) {
        return 0;
    }
    return o->handshakes_only ? st->confirmed >= (uint64_t)o->requests
                              : st->ok >= (uint64_t)(o->requests < 0 ? 1 : o->requests);
}

static double seconds_of(const load_stat *st)
{
    return st->ended > st->begun ? (double)(st->ended - st->begun) / 1e9 : 1e-9;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Of sorted samples, in milliseconds. */
static double quantile(const load_samples *s, double q)
{
    return s->n ? (double)s->v[(size_t)(q * (double)(s->n - 1))] / 1e6 : 0;
}

static void json_text(const char *text)
{
    putchar('"');
    for (; *text; ++text) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\') {
            printf("\\u%04x", (unsigned char)*text);
        }
        else {
            putchar(*text);
        }
    }
    putchar('"');
}

static void json_codes(const char *name, const load_codes *codes)
{
    int i;

    printf("\"%s\": {", name);
    for (i = 0; i < codes->n; ++i) {
        printf("%s\"0x%" PRIx64 "\": %" PRIu64, i ? ", " : "", codes->seen[i].code,
               codes->seen[i].count);
    }
    printf("}");
}

static void json_times(const char *name, load_samples *s)
{
    printf("\"%s\": {\"samples\": %zu, \"min\": %.3f, \"median\": %.3f, \"p95\": %.3f, "
           "\"p99\": %.3f, \"max\": %.3f}",
           name, s->n, quantile(s, 0), quantile(s, 0.5), quantile(s, 0.95), quantile(s, 0.99),
           quantile(s, 1));
}

static void json_requests(const load_stat *st)
{
    const char *comma = "";
    int i;

    printf("{\"requests\": %" PRIu64 ", \"ok\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"repeated\": %" PRIu64 ", \"unsent\": %" PRIu64 ", \"cut\": %" PRIu64
           ", \"informational\": %" PRIu64 ",\n \"status\": {",
           st->requests, st->ok, st->failed, st->repeated, st->unsent, st->cut, st->informational);
    for (i = 0; i < 600; ++i) {
        if (st->status[i]) {
            printf("%s\"%d\": %" PRIu64, comma, i, st->status[i]);
            comma = ", ";
        }
    }
    printf("}, ");
    json_codes("resets", &st->resets);
    printf(", \"stopped\": %" PRIu64, st->stopped);
}

static void json_responses(const load_stat *st)
{
    size_t i;

    printf("\"upload_sha256\": \"%s\", \"responses\": [", st->upload_sha256);
    for (i = 0; i < st->nresponses; ++i) {
        printf("%s\n  {\"url\": ", i ? "," : "");
        json_text(st->response[i].url);
        printf(", \"status\": %d, \"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}",
               st->response[i].status, st->response[i].bytes, st->response[i].sha256);
    }
    printf("]}\n");
}

static void sort_samples(load_samples *s)
{
    if (s->n) {
        qsort(s->v, s->n, sizeof(*s->v), by_size);
    }
}

static void print_json(load_stat *st)
{
    double s = seconds_of(st);

    sort_samples(&st->connect_time);
    sort_samples(&st->request_time);
    json_requests(st);
    printf(",\n \"body_bytes\": %" PRIu64 ", \"upload_bytes\": %" PRIu64
           ", \"seconds\": %.6f, \"requests_per_s\": %.1f, \"handshakes_per_s\": %.1f,\n ",
           st->body, st->upload, s, (double)st->ok / s, (double)st->confirmed / s);
    printf("\"connections\": {\"opened\": %" PRIu64 ", \"connected\": %" PRIu64
           ", \"confirmed\": %" PRIu64 ", \"resumed\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"lost\": %" PRIu64 ", \"goaway\": %" PRIu64 ", \"replaced\": %" PRIu64
           ", \"stateless_resets\": %" PRIu64 ", \"rebinds\": %" PRIu64 ", ",
           st->opened, st->connected, st->confirmed, st->resumed, st->conn_failed, st->conn_lost,
           st->goaway, st->replaced, st->stateless_resets, st->rebinds);
    json_codes("transport_closes", &st->transport_closes);
    printf(", ");
    json_codes("app_closes", &st->app_closes);
    printf("},\n \"datagrams\": {\"in\": %" PRIu64 ", \"out\": %" PRIu64 ", \"bytes_in\": %" PRIu64
           ", \"bytes_out\": %" PRIu64 ", \"dropped_in\": %" PRIu64 ", \"dropped_out\": %" PRIu64
           "},\n ",
           st->dgram_in, st->dgram_out, st->dgram_in_bytes, st->dgram_out_bytes, st->dropped_in,
           st->dropped_out);
    json_times("connect_ms", &st->connect_time);
    printf(",\n ");
    json_times("request_ms", &st->request_time);
    printf(",\n ");
    json_responses(st);
}

static void text_codes(const char *name, const load_codes *codes)
{
    int i;

    for (i = 0; i < codes->n; ++i) {
        printf("%s 0x%" PRIx64 ": %" PRIu64 "\n", name, codes->seen[i].code, codes->seen[i].count);
    }
}

static void text_times(const char *name, load_samples *s)
{
    sort_samples(s);
    if (s->n) {
        printf("%s ms: min %.3f, median %.3f, 95%% %.3f, max %.3f\n", name, quantile(s, 0),
               quantile(s, 0.5), quantile(s, 0.95), quantile(s, 1));
    }
}

static void print_text(load_stat *st)
{
    double s = seconds_of(st);
    int i;

    printf("requests: %" PRIu64 " begun, %" PRIu64 " ok, %" PRIu64 " failed, %" PRIu64
           " repeated; %.1f/s in %.3f s\n",
           st->requests, st->ok, st->failed, st->repeated, (double)st->ok / s, s);
    printf("bytes: %" PRIu64 " received, %" PRIu64 " uploaded; %.1f MiB/s\n", st->body, st->upload,
           (double)(st->body + st->upload) / s / 1048576);
    printf("connections: %" PRIu64 " opened, %" PRIu64 " connected, %" PRIu64 " resumed, %" PRIu64
           " failed, %" PRIu64 " lost, %" PRIu64 " replaced; %.1f handshakes/s\n",
           st->opened, st->connected, st->resumed, st->conn_failed, st->conn_lost, st->replaced,
           (double)st->confirmed / s);
    for (i = 0; i < 600; ++i) {
        if (st->status[i]) {
            printf("status %d: %" PRIu64 "\n", i, st->status[i]);
        }
    }
    text_codes("RESET_STREAM", &st->resets);
    if (st->stopped) {
        printf("STOP_SENDING: %" PRIu64 "\n", st->stopped);
    }
    text_codes("transport CONNECTION_CLOSE", &st->transport_closes);
    text_codes("application CONNECTION_CLOSE", &st->app_closes);
    text_times("connect", &st->connect_time);
    text_times("request", &st->request_time);
}
