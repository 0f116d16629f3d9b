/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place behind SETTINGS, found however buckets and brigades cut the octets: a server's
 * opening of SETTINGS and WINDOW_UPDATE is cut at every set of places, and each cut once between
 * two buckets and once between two brigades, with metadata between the pieces.
 */

#include "altsvc_h2.h"

#include <apr_general.h>
#include <apr_strings.h>

#include "tap.h"

/*
 * SETTINGS with two settings (21 octets), then WINDOW_UPDATE (13 octets), as mod_http2 sends
 * them
 */
static const char opening[] = "\0\0\x0c\x04\0\0\0\0\0"
                              "\0\x03\0\0\0\x64"
                              "\0\x04\0\0\xff\xff"
                              "\0\0\x04\x08\0\0\0\0\0"
                              "\x7f\xff\0\0";
#define SETTINGS_LEN 21
#define OPENING_LEN 34

static const char mark[] = "<ALTSVC>";

typedef struct {
    apr_pool_t *pool;
    apr_bucket_alloc_t *alloc;
    altsvc_h2_scanner scan;
    char out[256];
    apr_size_t len;
    int done, foreign;
} peer_t;

static void peer_init(peer_t *peer, apr_pool_t *p, apr_bucket_alloc_t *alloc)
{
    memset(peer, 0, sizeof(*peer));
    peer->pool = p;
    peer->alloc = alloc;
}

/* What the filter does with a brigade, then what the network would get. */
static void peer_write(peer_t *peer, apr_bucket_brigade *bb)
{
    apr_bucket *next;
    apr_size_t room = sizeof(peer->out) - peer->len;

    if (!peer->done) {
        altsvc_h2_verdict verdict = altsvc_h2_scan(&peer->scan, bb, &next);

        if (verdict == ALTSVC_H2_FOUND) {
            apr_bucket *frame = apr_bucket_immortal_create(mark, strlen(mark), peer->alloc);

            APR_BUCKET_INSERT_BEFORE(next, frame);
        }
        peer->foreign = verdict == ALTSVC_H2_FOREIGN;
        peer->done = verdict != ALTSVC_H2_WAITING;
    }
    apr_brigade_flatten(bb, peer->out + peer->len, &room);
    peer->len += room;
    apr_brigade_cleanup(bb);
}

/*
 * Sends `data` cut before each octet whose bit is set in `cuts`; a cut whose bit is set in
 * `brigades` too ends a brigade. Every second piece is a heap bucket, the others are immortal;
 * metadata and empty buckets stand between.
 */
static void peer_write_cut(peer_t *peer, const char *data, apr_size_t len, apr_uint64_t cuts,
                           apr_uint64_t brigades)
{
    apr_bucket_brigade *bb = apr_brigade_create(peer->pool, peer->alloc);
    apr_size_t start = 0, at;
    int piece = 0;

    for (at = 1; at <= len; at++) {
        apr_bucket *b;

        if (at < len && !(cuts >> at & 1)) {
            continue;
        }
        b = piece++ & 1 ? apr_bucket_heap_create(data + start, at - start, NULL, peer->alloc)
                        : apr_bucket_immortal_create(data + start, at - start, peer->alloc);
        APR_BRIGADE_INSERT_TAIL(bb, b);
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(peer->alloc));
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_immortal_create("", 0, peer->alloc));
        start = at;
        if (at == len || brigades >> at & 1) {
            peer_write(peer, bb);
        }
    }
    apr_brigade_destroy(bb);
}

static int has_frame_at(const peer_t *peer, const char *data, apr_size_t len, apr_size_t place)
{
    apr_size_t n = strlen(mark);

    return peer->done && !peer->foreign && peer->len == len + n && !memcmp(peer->out, data, place)
           && !memcmp(peer->out + place, mark, n)
           && !memcmp(peer->out + place + n, data + place, len - place);
}

static int untouched(const peer_t *peer, const char *data, apr_size_t len)
{
    return peer->done && peer->foreign && peer->len == len && !memcmp(peer->out, data, len);
}

/* Runs one way of cutting in a pool of its own, so that tens of thousands need no memory. */
static int cut_is_good(apr_pool_t *parent, apr_uint64_t cuts, apr_uint64_t brigades)
{
    apr_pool_t *p;
    peer_t peer;
    int good;

    apr_pool_create(&p, parent);
    peer_init(&peer, p, apr_bucket_alloc_create(p));
    peer_write_cut(&peer, opening, OPENING_LEN, cuts, brigades);
    good = has_frame_at(&peer, opening, OPENING_LEN, SETTINGS_LEN);
    if (!good) {
        printf("# cuts %llx brigades %llx: %d octets out\n", (unsigned long long)cuts,
               (unsigned long long)brigades, (int)peer.len);
    }
    apr_pool_destroy(p);
    return good;
}

/*
 * All 2^10 ways to cut the frame head with the first payload octet, each cut a bucket's or a
 * brigade's end.
 */
static void test_all_head_cuts(apr_pool_t *p)
{
    apr_uint64_t cuts, brigades;
    int good = 1, ways = 0;

    for (cuts = 0; cuts < 1 << 10; cuts++) {
        for (brigades = cuts;; brigades = (brigades - 1) & cuts) {
            good &= cut_is_good(p, cuts << 1, brigades << 1);
            ways++;
            if (!brigades) {
                break;
            }
        }
    }
    ok(good && ways == 59049, "the frame head in all 3^10 ways over buckets and brigades");
}

/* All ways to cut round the place where SETTINGS ends. */
static void test_all_tail_cuts(apr_pool_t *p)
{
    apr_uint64_t cuts, brigades;
    int good = 1;

    for (cuts = 0; cuts < 1 << 8; cuts++) {
        for (brigades = cuts;; brigades = (brigades - 1) & cuts) {
            good &= cut_is_good(p, cuts << (SETTINGS_LEN - 4), brigades << (SETTINGS_LEN - 4));
            if (!brigades) {
                break;
            }
        }
    }
    ok(good, "the end of SETTINGS in all 3^8 ways over buckets and brigades");
}

/*
 * Every pair and triple of cuts anywhere, every way of ending brigades at them; every octet
 * alone.
 */
static void test_far_cuts(apr_pool_t *p)
{
    apr_uint64_t one = 1;
    int a, b, c, ways, good = 1;

    for (a = 1; a < OPENING_LEN; a++) {
        for (b = a; b < OPENING_LEN; b++) {
            for (c = b; c < OPENING_LEN; c++) {
                for (ways = 0; ways < 8; ways++) {
                    good &= cut_is_good(p, one << a | one << b | one << c,
                                        (ways & 1 ? one << a : 0) | (ways & 2 ? one << b : 0)
                                            | (ways & 4 ? one << c : 0));
                }
            }
        }
    }
    ok(good, "cuts at any three places");
    ok(cut_is_good(p, ~(apr_uint64_t)0, 0), "every octet a bucket of its own");
    ok(cut_is_good(p, ~(apr_uint64_t)0, ~(apr_uint64_t)0), "every octet a brigade of its own");
    ok(cut_is_good(p, 0, 0), "all in one bucket");
}

static void test_settings_shapes(apr_pool_t *p, apr_bucket_alloc_t *alloc)
{
    static const char empty[] = "\0\0\0\x04\0\0\0\0\0"
                                "\0\0\x04\x08\0\0\0\0\0\0\0\0\1";
    static const char reserved[] = "\0\0\x06\x04\0\x80\0\0\0"
                                   "\0\x03\0\0\0\x64";
    apr_bucket_brigade *bb = apr_brigade_create(p, alloc);
    peer_t peer;

    peer_init(&peer, p, alloc);
    peer_write_cut(&peer, empty, 22, 0, 0);
    ok(has_frame_at(&peer, empty, 22, 9), "SETTINGS without settings");
    peer_init(&peer, p, alloc);
    peer_write_cut(&peer, empty, 22, 1 << 9, 1 << 9);
    ok(has_frame_at(&peer, empty, 22, 9), "SETTINGS without settings, alone in its brigade");
    peer_init(&peer, p, alloc);
    peer_write_cut(&peer, reserved, 15, 0, 0);
    ok(has_frame_at(&peer, reserved, 15, 15), "the reserved bit of the stream id does not count");
    peer_init(&peer, p, alloc);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(alloc));
    peer_write(&peer, bb);
    peer_write(&peer, bb);
    ok(!peer.done && peer.len == 0, "metadata alone and an empty brigade: nothing yet");
    peer_write_cut(&peer, opening, SETTINGS_LEN - 1, 0, 0);
    ok(!peer.done && peer.len == SETTINGS_LEN - 1, "one octet before the end: nothing yet");
    peer_write_cut(&peer, opening + SETTINGS_LEN - 1, OPENING_LEN - SETTINGS_LEN + 1, 0, 0);
    ok(has_frame_at(&peer, opening, OPENING_LEN, SETTINGS_LEN), "then the rest");
}

/* What is no SETTINGS frame passes as it is, in one piece and octet by octet. */
static void test_foreign(apr_pool_t *p, apr_bucket_alloc_t *alloc)
{
    static const struct {
        const char *name, *data;
        apr_size_t len;
    } rows[] = {
        { "HTTP/1.1 text", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 36 },
        { "a HEADERS frame", "\0\0\1\1\4\0\0\0\1\x88", 10 },
        { "GOAWAY first", "\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0", 17 },
        { "an ACK of SETTINGS", "\0\0\0\x04\x01\0\0\0\0....", 13 },
        { "SETTINGS with an unknown flag", "\0\0\0\x04\x02\0\0\0\0....", 13 },
        { "SETTINGS on stream 1", "\0\0\0\x04\0\0\0\0\1....", 13 },
        { "SETTINGS on stream 16777216", "\0\0\0\x04\0\1\0\0\0....", 13 },
        { "SETTINGS of 7 octets", "\0\0\x07\x04\0\0\0\0\0.......", 16 },
        { "SETTINGS above 16384 octets", "\0\x40\x02\x04\0\0\0\0\0......", 15 },
        { "a TLS record", "\x16\x03\x03\0\x7a\x02\0\0\x76....", 13 },
    };
    apr_size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        peer_t peer;
        int whole;

        peer_init(&peer, p, alloc);
        peer_write_cut(&peer, rows[i].data, rows[i].len, 0, 0);
        whole = untouched(&peer, rows[i].data, rows[i].len);
        peer_init(&peer, p, alloc);
        peer_write_cut(&peer, rows[i].data, rows[i].len, ~(apr_uint64_t)0, ~(apr_uint64_t)0);
        ok(whole && untouched(&peer, rows[i].data, rows[i].len), "%s", rows[i].name);
    }
}

/* A bucket type of its own whose octets cannot be read. */
static apr_status_t broken_read(apr_bucket *b, const char **data, apr_size_t *len,
                                apr_read_type_e block)
{
    (void)b, (void)data, (void)len, (void)block;
    return APR_EGENERAL;
}

static const apr_bucket_type_t broken_type = { "BROKEN",
                                               5,
                                               APR_BUCKET_DATA,
                                               apr_bucket_destroy_noop,
                                               broken_read,
                                               apr_bucket_setaside_notimpl,
                                               apr_bucket_split_notimpl,
                                               apr_bucket_copy_notimpl };

static void test_broken_bucket(apr_pool_t *p, apr_bucket_alloc_t *alloc)
{
    apr_bucket_brigade *bb = apr_brigade_create(p, alloc);
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), alloc), *next = NULL;
    altsvc_h2_scanner scan = { .have = 0 };

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = alloc;
    b->type = &broken_type;
    b->length = 10;
    b->start = 0;
    b->data = NULL;
    APR_BRIGADE_INSERT_TAIL(bb, b);
    ok(altsvc_h2_scan(&scan, bb, &next) == ALTSVC_H2_FOREIGN && APR_BRIGADE_FIRST(bb) == b,
       "octets that cannot be read are left to the next filter");
    is_int(scan.rv, APR_EGENERAL, "with the reason");
}

static void test_frame(apr_pool_t *p)
{
    apr_size_t len = 0;
    const char *frame = altsvc_h2_frame(p, "https://a.b", "clear", &len);
    char value[16385];

    ok(frame && len == 27
           && !memcmp(frame,
                      "\0\0\x12\x0a\0\0\0\0\0"
                      "\0\x0b"
                      "https://a.b"
                      "clear",
                      27),
       "an ALTSVC frame, octet by octet");
    memset(value, 'v', sizeof(value));
    value[16384 - 2 - 11] = '\0';
    frame = altsvc_h2_frame(p, "https://a.b", value, &len);
    ok(frame && len == 16384 + 9 && !memcmp(frame, "\0\x40\0\x0a", 4), "the largest frame");
    value[16384 - 2 - 11] = 'v';
    value[16384 - 2 - 10] = '\0';
    ok(!altsvc_h2_frame(p, "https://a.b", value, &len), "one octet more is refused");
    ok(!strcmp(altsvc_h2_origin(p, "a.b", 443), "https://a.b"), "an origin on port 443");
    ok(!strcmp(altsvc_h2_origin(p, "a.b", 8443), "https://a.b:8443"), "an origin elsewhere");
}

static void test_covers(void)
{
    static const struct {
        const char *pattern, *host;
        int covers;
    } rows[] = {
        { "h3.test", "h3.test", 1 },
        { "H3.Test", "h3.tesT", 1 },
        { "h3.test", "a.h3.test", 0 },
        { "h3.test", "h3.test.evil", 0 },
        { "*.h3.test", "a.h3.test", 1 },
        { "*.h3.test", "A.H3.TEST", 1 },
        { "*.h3.test", "h3.test", 0 },
        { "*.h3.test", "a.b.h3.test", 0 },
        { "*.h3.test", ".h3.test", 0 },
        { "*.h3.test", "ah3.test", 0 },
        { "*.test", "h3.test", 0 },
        { "*", "h3.test", 0 },
        { "*.", "h3.", 0 },
        { "a*.h3.test", "ab.h3.test", 0 },
        { "*.*.h3.test", "a.b.h3.test", 0 },
        { "", "", 0 },
        { "*.*.test", "a.*.test", 0 },
    };
    apr_size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ok(altsvc_h2_covers(rows[i].pattern, rows[i].host) == rows[i].covers, "'%s' %s '%s'",
           rows[i].pattern, rows[i].covers ? "covers" : "does not cover", rows[i].host);
    }
}

static void test_covered(apr_pool_t *p)
{
    static const char names[] = "DNS:h3.test, DNS:*.h3.test, IP Address:127.0.0.1, URI:DNS:u.test,"
                                "DNS:last.test";

    ok(altsvc_h2_covered(p, names, "h3.test"), "the first name");
    ok(altsvc_h2_covered(p, names, "a.h3.test"), "by the wildcard");
    ok(altsvc_h2_covered(p, names, "last.test"), "the last name");
    ok(!altsvc_h2_covered(p, names, "a.b.h3.test"), "not by the wildcard");
    ok(!altsvc_h2_covered(p, names, "127.0.0.1"), "an address is no name");
    ok(!altsvc_h2_covered(p, names, "u.test"), "a URI is no name");
    ok(!altsvc_h2_covered(p, "", "h3.test"), "a certificate without names");
}

int main(void)
{
    apr_pool_t *p;
    apr_bucket_alloc_t *alloc;

    apr_initialize();
    apr_pool_create(&p, NULL);
    alloc = apr_bucket_alloc_create(p);
    test_all_head_cuts(p);
    test_all_tail_cuts(p);
    test_far_cuts(p);
    test_settings_shapes(p, alloc);
    test_foreign(p, alloc);
    test_broken_bucket(p, alloc);
    test_frame(p);
    test_covers();
    test_covered(p);
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
