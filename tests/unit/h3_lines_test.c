/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <nghttp3/nghttp3.h>
#include "h3/h3_lines.h"
#include "tap.h"

typedef struct bytes {
    uint8_t data[200 * 1024];
    size_t len;
} bytes;

static void put(bytes *b, const void *data, size_t len)
{
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_byte(bytes *b, unsigned byte)
{
    b->data[b->len++] = (uint8_t)byte;
}

/* A variable-length integer in `size` bytes. RFC 9000 section 16 */
static void put_varint(bytes *b, uint64_t n, unsigned size)
{
    unsigned i, bits = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;

    for (i = size; i-- > 0;) {
        put_byte(b, (unsigned)(n >> (8 * i)) & 0xff);
    }
    b->data[b->len - size] |= (uint8_t)(bits << 6);
}

static void put_frame(bytes *b, uint64_t type, const bytes *payload, unsigned size)
{
    put_varint(b, type, size);
    put_varint(b, payload->len, size < 4 ? 4 : size);
    put(b, payload->data, payload->len);
}

/* An integer behind a prefix of so many bits. RFC 7541 section 5.1 */
static void put_int(bytes *b, unsigned first, unsigned prefix, uint64_t n)
{
    unsigned mask = (1u << prefix) - 1;

    if (n < mask) {
        put_byte(b, first | (unsigned)n);
        return;
    }
    put_byte(b, first | mask);
    for (n -= mask; n >= 128; n >>= 7) {
        put_byte(b, 0x80 | (n & 0x7f));
    }
    put_byte(b, (unsigned)n);
}

static void put_zeros(bytes *b, size_t n)
{
    memset(b->data + b->len, 0, n);
    b->len += n;
}

static void put_literal(bytes *b, size_t name_len, int huffman_name, size_t value_len,
                        int huffman_value)
{
    put_int(b, huffman_name ? 0x28 : 0x20, 3, name_len);
    put_zeros(b, name_len);
    put_int(b, huffman_value ? 0x80 : 0, 7, value_len);
    put_zeros(b, value_len);
}

/* One line of each kind, with long and short integers: RFC 9204 sections 4.5.2 to 4.5.6. */
static unsigned all_kinds(bytes *section)
{
    put_byte(section, 0); /* Required Insert Count, Base */
    put_byte(section, 0x80);
    put_int(section, 0xc0, 6, 1);
    put_int(section, 0x80, 6, 5000);
    put_int(section, 0x50, 4, 3);
    put_int(section, 0x00, 7, 5);
    put_zeros(section, 5);
    put_int(section, 0x60, 4, 70);
    put_int(section, 0x80, 7, 0);
    put_literal(section, 3, 0, 200, 1);
    put_literal(section, 0, 0, 0, 0);
    put_literal(section, 150, 1, 1000, 0);
    put_int(section, 0x10, 4, 400);
    put_int(section, 0x08, 3, 9);
    put_int(section, 0x80, 7, 127);
    put_zeros(section, 127);
    return 9;
}

/* All of it in pieces of `step` bytes: as many as all at once. */
static int same_in_pieces(const bytes *stream, unsigned lines, unsigned sections, size_t step)
{
    h3_lines l = { 0 };
    size_t at, n;

    for (at = 0; at < stream->len; at += n) {
        n = stream->len - at < step ? stream->len - at : step;
        if (h3_lines_feed(&l, stream->data + at, n) != n) {
            return 0;
        }
    }
    return l.head == lines && l.sections == sections;
}

static void a_stream(void)
{
    static bytes stream, section, data, trailers;
    unsigned lines = all_kinds(&section), size;
    size_t step;
    int good = 1;

    put_zeros(&data, 5000);
    put_byte(&trailers, 0);
    put_byte(&trailers, 0);
    put_literal(&trailers, 4, 0, 4, 0);
    for (size = 1; size <= 8; size *= 2) {
        stream.len = 0;
        if (size > 1) {
            put_frame(&stream, 0x21, &data, size); /* a type of no meaning */
        }
        put_frame(&stream, 1, &section, size);
        put_frame(&stream, 0, &data, size);
        put_frame(&stream, 0, &(bytes){ .len = 0 }, size);
        put_frame(&stream, 1, &trailers, size);
        for (step = 1; step < 40; step++) {
            good = good && same_in_pieces(&stream, lines, 2, step);
        }
        good = good && same_in_pieces(&stream, lines, 2, stream.len);
    }
    ok(good, "all kinds of lines are counted, however the stream is cut; trailers apart");
}

/* What nghttp3's own encoder makes, with and without its dynamic table. */
static void as_nghttp3_encodes(void)
{
    const nghttp3_mem *mem = nghttp3_mem_default();
    nghttp3_qpack_encoder *enc;
    nghttp3_nv nv[40];
    nghttp3_buf prefix, lines, inserts;
    static bytes stream, section;
    char names[40][32], values[40][64];
    int round, i, good = 1;

    nghttp3_qpack_encoder_new2(&enc, 4096, 0x5eed, mem);
    nghttp3_qpack_encoder_set_max_dtable_capacity(enc, 4096);
    nghttp3_qpack_encoder_set_max_blocked_streams(enc, 100);
    for (round = 0; round < 20; round++) {
        for (i = 0; i < 40; i++) {
            snprintf(names[i], sizeof(names[i]), i % 3 ? "x-name-%d" : "accept", i % 7);
            snprintf(values[i], sizeof(values[i]), "value %d of \x7f%d", i * round % 5, round);
            nv[i] = (nghttp3_nv){ .name = (uint8_t *)names[i],
                                  .namelen = strlen(names[i]),
                                  .value = (uint8_t *)values[i],
                                  .valuelen = strlen(values[i]) };
        }
        nghttp3_buf_init(&prefix);
        nghttp3_buf_init(&lines);
        nghttp3_buf_init(&inserts);
        nghttp3_qpack_encoder_encode(enc, &prefix, &lines, &inserts, round * 4, nv, 40);
        section.len = stream.len = 0;
        put(&section, prefix.pos, nghttp3_buf_len(&prefix));
        put(&section, lines.pos, nghttp3_buf_len(&lines));
        put_frame(&stream, 1, &section, 2);
        good = good && same_in_pieces(&stream, 40, 1, 7) && same_in_pieces(&stream, 40, 1, 100000);
        nghttp3_buf_free(&prefix, mem);
        nghttp3_buf_free(&lines, mem);
        nghttp3_buf_free(&inserts, mem);
    }
    nghttp3_qpack_encoder_del(enc);
    ok(good, "what nghttp3 encodes is counted");
}

/* How much of a stream with one literal may go on, in pieces of `step`. */
static size_t fed(size_t name_len, int huffman_name, size_t value_len, int huffman_value,
                  size_t step, size_t *len)
{
    static bytes stream, section;
    h3_lines l = { 0 };
    size_t at, n, took;

    section.len = stream.len = 0;
    put_byte(&section, 0);
    put_byte(&section, 0);
    put_byte(&section, 0xd1);
    put_literal(&section, name_len, huffman_name, value_len, huffman_value);
    put_frame(&stream, 1, &section, 4);
    *len = stream.len;
    for (at = 0; at < stream.len; at += n) {
        n = stream.len - at < step ? stream.len - at : step;
        took = h3_lines_feed(&l, stream.data + at, n);
        if (took != n) {
            return at + took;
        }
    }
    return at;
}

static void too_long(void)
{
    size_t len, step, before = 4 + 4 + 3;
    int good = 1;

    for (step = 1; step < 100000; step *= 10) {
        good = good && fed(256, 0, 65536, 0, step, &len) == len;
        good = good && fed(160, 1, 40960, 1, step, &len) == len;
        /* 257 is a prefix and two more bytes; what completes it is held back. */
        good = good && fed(257, 0, 1, 0, step, &len) == before + 2;
        good = good && fed(161, 1, 1, 0, step, &len) == before + 2;
        good = good && fed(3, 0, 65537, 0, step, &len) == before + 1 + 3 + 3;
        good = good && fed(3, 0, 40961, 1, step, &len) == before + 1 + 3 + 3;
    }
    ok(good, "a string that is too long is held back at its length");
}

/* Anything at all: no more than came is let through, and nothing is read beyond it. */
static void rubbish(void)
{
    uint8_t *data;
    unsigned round, seed = 1;
    size_t len, i;
    int good = 1;

    for (round = 0; round < 20000; round++) {
        h3_lines l = { 0 };
        int piece;

        for (piece = 0; piece < 3; piece++) {
            len = round % 61 + 1;
            data = malloc(len);
            for (i = 0; i < len; i++) {
                seed = seed * 1103515245 + 12345;
                data[i] = i == 0 && piece == 0 ? 1 : (uint8_t)(seed >> 16);
            }
            good = good && h3_lines_feed(&l, data, len) <= len;
            free(data);
        }
    }
    ok(good, "rubbish is looked at without harm");
}

static void huge_integers(void)
{
    static bytes stream, section;
    h3_lines l = { 0 };

    put_byte(&section, 0);
    put_byte(&section, 0);
    put_byte(&section, 0x27);
    memset(section.data + section.len, 0xff, 100);
    section.len += 100;
    put_byte(&section, 0x7f);
    put_frame(&stream, 1, &section, 4);
    ok(h3_lines_feed(&l, stream.data, stream.len) == stream.len - 1,
       "a length beyond all integers is too long");
    ok(h3_lines_feed(&l, stream.data, 5) == 5, "behind it nothing is looked at");
}

int main(void)
{
    a_stream();
    as_nghttp3_encodes();
    too_long();
    rubbish();
    huge_integers();
    return done_testing();
}
