/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_unchunk.h"

static h3_unchunk_state size_digit(h3_unchunk *u, char c);
static h3_unchunk_state after_size(h3_unchunk *u, char c);
static h3_unchunk_state step(h3_unchunk *u, char c);

size_t h3_unchunk_next(h3_unchunk *u, const char *data, size_t len, size_t *body)
{
    size_t i;

    *body = 0;
    for (i = 0; i < len && u->state < H3_UNCHUNK_END && u->state != H3_UNCHUNK_DATA; i++) {
        u->state = step(u, data[i]);
    }
    if (u->state == H3_UNCHUNK_END) {
        return len;
    }
    if (u->state == H3_UNCHUNK_DATA) {
        *body = u->left < len - i ? (size_t)u->left : len - i;
        u->left -= *body;
        if (u->left == 0) {
            u->state = H3_UNCHUNK_DATA_CR;
        }
    }
    return i;
}

static h3_unchunk_state step(h3_unchunk *u, char c)
{
    switch (u->state) {
    case H3_UNCHUNK_SIZE:
    case H3_UNCHUNK_DIGITS:
        return size_digit(u, c);
    case H3_UNCHUNK_EXTENSION:
        return c == '\r' || c == '\n' ? after_size(u, c) : H3_UNCHUNK_EXTENSION;
    case H3_UNCHUNK_SIZE_LF:
        return c == '\n' ? after_size(u, c) : H3_UNCHUNK_BAD;
    case H3_UNCHUNK_DATA_CR:
        return c == '\r' ? H3_UNCHUNK_DATA_LF : c == '\n' ? H3_UNCHUNK_SIZE : H3_UNCHUNK_BAD;
    case H3_UNCHUNK_DATA_LF:
        return c == '\n' ? H3_UNCHUNK_SIZE : H3_UNCHUNK_BAD;
    case H3_UNCHUNK_TRAILER:
        return c == '\r'   ? H3_UNCHUNK_TRAILER_LF
               : c == '\n' ? H3_UNCHUNK_END
                           : H3_UNCHUNK_TRAILER_LINE;
    case H3_UNCHUNK_TRAILER_LINE:
        return c == '\n' ? H3_UNCHUNK_TRAILER : H3_UNCHUNK_TRAILER_LINE;
    case H3_UNCHUNK_TRAILER_LF:
        return c == '\n' ? H3_UNCHUNK_END : H3_UNCHUNK_BAD;
    default:
        return H3_UNCHUNK_BAD;
    }
}

static h3_unchunk_state size_digit(h3_unchunk *u, char c)
{
    char lower = c >= 'A' && c <= 'F' ? (char)(c + ('a' - 'A')) : c;
    unsigned digit = lower >= '0' && lower <= '9'   ? (unsigned)(lower - '0')
                     : lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10
                                                    : 16;

    if (digit < 16) {
        if (u->left >> 56) {
            return H3_UNCHUNK_BAD; /* RFC 9112 section 7.1: beware of overflows */
        }
        u->left = u->left << 4 | digit;
        return H3_UNCHUNK_DIGITS;
    }
    return u->state == H3_UNCHUNK_SIZE ? H3_UNCHUNK_BAD : after_size(u, c);
}

static h3_unchunk_state after_size(h3_unchunk *u, char c)
{
    if (c == '\n') {
        return u->left ? H3_UNCHUNK_DATA : H3_UNCHUNK_TRAILER;
    }
    if (c == '\r') {
        return H3_UNCHUNK_SIZE_LF;
    }
    return c == ';' || c == ' ' || c == '\t' ? H3_UNCHUNK_EXTENSION : H3_UNCHUNK_BAD;
}
