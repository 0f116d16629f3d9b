/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_lines.h"

#define FRAME_HEADERS 1
/* An integer above this is no length or index that anybody may send; it only has to stay large. */
#define HUGE_VALUE (UINT64_C(1) << 62)

enum { /* h3_lines.state: what the next byte belongs to; all zero begins with a frame */
       FRAME_TYPE,
       FRAME_LENGTH,
       OTHER_PAYLOAD,
       INSERT_COUNT, /* the section's prefix, RFC 9204 section 4.5.1 */
       BASE,
       LINE, /* kind of the line, and its index or the length of its name */
       NAME,
       VALUE_LENGTH,
       VALUE,
       ENDED /* nothing is looked at any more */
};

enum { /* h3_lines.line: RFC 9204 sections 4.5.2 to 4.5.6 */
       LINE_INDEXED,
       LINE_NAME_INDEXED,
       LINE_LITERAL
};

static int varint_byte(h3_lines *l, uint8_t byte);
static void frame_begins(h3_lines *l);
static int section_byte(h3_lines *l, uint8_t byte);
static void line_begins(h3_lines *l, uint8_t byte, unsigned *prefix);
static int integer_byte(h3_lines *l, uint8_t byte, unsigned prefix);
static int integer_read(h3_lines *l);
static int is_too_long(const h3_lines *l, uint64_t max);

size_t h3_lines_feed(h3_lines *l, const uint8_t *data, size_t len)
{
    const uint8_t *p = data, *end = data + len;
    uint64_t n;

    while (p < end && l->state != ENDED) {
        n = (uint64_t)(end - p);
        switch (l->state) {
        case FRAME_TYPE:
        case FRAME_LENGTH:
            if (varint_byte(l, *p++)) {
                frame_begins(l);
            }
            continue;
        case OTHER_PAYLOAD:
            n = n < l->frame_left ? n : l->frame_left;
            break;
        case NAME:
        case VALUE:
            n = n < l->skip ? n : l->skip;
            n = n < l->frame_left ? n : l->frame_left;
            l->skip -= n;
            if (l->skip == 0) {
                l->state = l->state == NAME ? VALUE_LENGTH : LINE;
            }
            break;
        default:
            if (!section_byte(l, *p)) {
                l->state = ENDED;
                return (size_t)(p - data);
            }
            n = 1;
            break;
        }
        p += n;
        l->frame_left -= n;
        if (l->frame_left == 0) {
            l->state = FRAME_TYPE; /* inside a line, too: that is nghttp3's to refuse */
            l->bits = 0;
        }
    }
    return len;
}

/* RFC 9000 section 16. 1: the integer is complete. */
static int varint_byte(h3_lines *l, uint8_t byte)
{
    if (l->bits == 0) {
        l->bits = (uint8_t)(1 << (byte >> 6));
        l->value = byte & 0x3f;
    }
    else {
        l->value = l->value << 8 | byte;
    }
    return --l->bits == 0;
}

static void frame_begins(h3_lines *l)
{
    if (l->state == FRAME_TYPE) {
        l->headers = l->value == FRAME_HEADERS;
        l->state = FRAME_LENGTH;
        return;
    }
    l->frame_left = l->value;
    l->state = l->value == 0 ? FRAME_TYPE : l->headers ? INSERT_COUNT : OTHER_PAYLOAD;
    l->sections += l->headers;
}

/* A byte of an integer in a field section. 0: it announces a string that is too long. */
static int section_byte(h3_lines *l, uint8_t byte)
{
    unsigned prefix = 7;

    if (l->bits == 0) {
        l->huffman = byte >> 7; /* of VALUE_LENGTH */
        if (l->state == INSERT_COUNT) {
            prefix = 8;
        }
        else if (l->state == LINE) {
            line_begins(l, byte, &prefix);
        }
    }
    return integer_byte(l, byte, prefix) ? integer_read(l) : 1;
}

static void line_begins(h3_lines *l, uint8_t byte, unsigned *prefix)
{
    l->head += l->sections == 1;
    if (byte & 0x80) {
        l->line = LINE_INDEXED;
        *prefix = 6;
    }
    else if (byte & 0x40) {
        l->line = LINE_NAME_INDEXED;
        *prefix = 4;
    }
    else if (byte & 0x20) {
        l->line = LINE_LITERAL;
        l->huffman = (byte & 0x08) != 0;
        *prefix = 3;
    }
    else {
        l->line = byte & 0x10 ? LINE_INDEXED : LINE_NAME_INDEXED;
        *prefix = byte & 0x10 ? 4 : 3;
    }
}

/* RFC 7541 section 5.1, which RFC 9204 section 4.1.1 takes over. 1: the integer is complete. */
static int integer_byte(h3_lines *l, uint8_t byte, unsigned prefix)
{
    uint8_t mask;

    if (l->bits == 0) {
        mask = (uint8_t)((1u << prefix) - 1);
        l->value = byte & mask;
        l->bits = l->value == mask;
        return !l->bits;
    }
    /* `bits` is one more than the bits of the bytes that follow the prefix. */
    if (l->bits > 56) {
        l->value = HUGE_VALUE;
    }
    else {
        l->value += (uint64_t)(byte & 0x7f) << (l->bits - 1);
        l->bits += 7;
    }
    if (byte & 0x80) {
        return 0;
    }
    l->bits = 0;
    return 1;
}

/* What follows the integer. 0: a string that is too long. */
static int integer_read(h3_lines *l)
{
    switch (l->state) {
    case INSERT_COUNT:
        l->state = BASE;
        return 1;
    case LINE:
        if (l->line != LINE_LITERAL) {
            l->state = l->line == LINE_INDEXED ? LINE : VALUE_LENGTH;
            return 1;
        }
        l->skip = l->value;
        l->state = l->skip ? NAME : VALUE_LENGTH;
        return !is_too_long(l, H3_LINES_NAME_MAX);
    case VALUE_LENGTH:
        l->skip = l->value;
        l->state = l->skip ? VALUE : LINE;
        return !is_too_long(l, H3_LINES_VALUE_MAX);
    default: /* BASE */
        l->state = LINE;
        return 1;
    }
}

static int is_too_long(const h3_lines *l, uint64_t max)
{
    return l->value > (l->huffman ? max * 5 / 8 : max);
}
