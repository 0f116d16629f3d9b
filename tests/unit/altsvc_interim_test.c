/* SPDX-License-Identifier: Apache-2.0 */
/* Alt-Svc lines leave the heads of interim responses, and no other octets do. */

#include "altsvc_interim.h"

#include <apr_general.h>
#include <apr_strings.h>

#include "tap.h"

/* Runs `pieces` through, a bucket each and every second one a new brigade; what comes out. */
static const char *run(apr_pool_t *p, const char *const *pieces, altsvc_interim_state *state)
{
    apr_bucket_alloc_t *alloc = apr_bucket_alloc_create(p);
    apr_bucket_brigade *bb = apr_brigade_create(p, alloc), *all = apr_brigade_create(p, alloc);
    char *text;
    apr_size_t len;
    int i;

    for (i = 0; pieces[i]; i++) {
        apr_bucket *b = apr_bucket_heap_create(pieces[i], strlen(pieces[i]), NULL, alloc);

        APR_BRIGADE_INSERT_TAIL(bb, b);
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(alloc));
        if (i % 2 || !pieces[i + 1]) {
            *state = altsvc_interim_strip(*state, bb);
            APR_BRIGADE_CONCAT(all, bb);
        }
    }
    apr_brigade_pflatten(all, &text, &len, p);
    return apr_pstrndup(p, text, len);
}

#define HEAD "HTTP/1.1 103 Early Hints\r\n"
#define LINE "alt-SVC: h3=\":1\"\r\n"
#define FINAL "HTTP/1.1 200 OK\r\n" LINE "\r\n"

static const struct {
    const char *name;
    const char *pieces[6];
    const char *out;
    altsvc_interim_state state;
} rows[] = {
    { "in the middle",
      { HEAD "A: b\r\n" LINE "C: d\r\n\r\n" },
      HEAD "A: b\r\nC: d\r\n\r\n",
      ALTSVC_INTERIM_WAITING },
    { "first", { HEAD LINE "C: d\r\n\r\n" }, HEAD "C: d\r\n\r\n", ALTSVC_INTERIM_WAITING },
    { "alone", { HEAD LINE "\r\n" }, HEAD "\r\n", ALTSVC_INTERIM_WAITING },
    { "three times",
      { HEAD LINE LINE "A: b\r\n" LINE "\r\n" },
      HEAD "A: b\r\n\r\n",
      ALTSVC_INTERIM_WAITING },
    { "none", { HEAD "A: b\r\n\r\n" }, HEAD "A: b\r\n\r\n", ALTSVC_INTERIM_WAITING },
    { "a bucket for each line",
      { HEAD, "A: b\r\n", LINE, "C: d\r\n", "\r\n" },
      HEAD "A: b\r\nC: d\r\n\r\n",
      ALTSVC_INTERIM_WAITING },
    { "a head that is not over", { HEAD LINE "A: b\r\n" }, HEAD "A: b\r\n", ALTSVC_INTERIM_HEAD },
    { "a field of another name",
      { HEAD "X-Alt-Svc: a\r\nAlt-Svcs: b\r\n\r\n" },
      HEAD "X-Alt-Svc: a\r\nAlt-Svcs: b\r\n\r\n",
      ALTSVC_INTERIM_WAITING },
    { "a final response stays", { FINAL }, FINAL, ALTSVC_INTERIM_IDLE },
    { "interim, then final",
      { HEAD LINE "\r\n", "", FINAL },
      HEAD "\r\n" FINAL,
      ALTSVC_INTERIM_IDLE },
    { "two interim, then final",
      { HEAD LINE "\r\n", HEAD LINE "\r\n", FINAL },
      HEAD "\r\n" HEAD "\r\n" FINAL,
      ALTSVC_INTERIM_IDLE },
    { "101, then a tunnel",
      { "HTTP/1.1 101 Switching Protocols\r\n" LINE "\r\n", HEAD LINE },
      "HTTP/1.1 101 Switching Protocols\r\n\r\n" HEAD LINE,
      ALTSVC_INTERIM_IDLE },
    { "101 over brigades",
      { "HTTP/1.1 101 Switching Protocols\r\n", LINE, "A: b\r\n\r\n", HEAD LINE },
      "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n" HEAD LINE,
      ALTSVC_INTERIM_IDLE },
    { "no HTTP", { "\x16\x03\x01" LINE "\r\n" }, "\x16\x03\x01" LINE "\r\n", ALTSVC_INTERIM_IDLE },
    { "too short", { "HTTP/1.1", LINE }, "HTTP/1.1" LINE, ALTSVC_INTERIM_IDLE },
};

int main(void)
{
    apr_pool_t *p;
    apr_size_t i;

    apr_initialize();
    apr_pool_create(&p, NULL);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        altsvc_interim_state state = ALTSVC_INTERIM_WAITING;
        const char *out = run(p, rows[i].pieces, &state);

        is_str(out, rows[i].out, "%s", rows[i].name);
        is_int(state, rows[i].state, "%s: the state after it", rows[i].name);
        state = ALTSVC_INTERIM_IDLE;
        run(p, rows[i].pieces, &state);
        is_int(state, ALTSVC_INTERIM_IDLE, "%s: idle stays idle", rows[i].name);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
