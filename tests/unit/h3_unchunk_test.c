/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_unchunk.h"
#include "tap.h"

/* The body of `text`, given in pieces of `step` bytes. The state when all is given. */
static h3_unchunk_state unchunk(const char *text, size_t step, char *out)
{
    h3_unchunk u = { 0 };
    size_t len = strlen(text), at = 0, end, n, body;

    while (at < len && u.state != H3_UNCHUNK_BAD) {
        end = at + step < len ? at + step : len;
        while (at < end && u.state != H3_UNCHUNK_BAD) {
            n = h3_unchunk_next(&u, text + at, end - at, &body);
            memcpy(out, text + at + n, body);
            out += body;
            at += n + body;
        }
    }
    *out = '\0';
    return u.state;
}

static void whole(const char *text, const char *body)
{
    char out[200];
    size_t step;

    for (step = 1; step <= strlen(text); step += step < 4 ? 1 : 5) {
        is_int(unchunk(text, step, out), H3_UNCHUNK_END, "whole, %d bytes a time", (int)step);
        is_str(out, body, "the body");
    }
}

static void is_not(const char *text, h3_unchunk_state state)
{
    char out[200];
    size_t step;

    for (step = 1; step <= strlen(text); step += step < 4 ? 1 : 5) {
        is_int(unchunk(text, step, out), state, "not whole, %d bytes a time", (int)step);
    }
}

int main(void)
{
    whole("5\r\nhello\r\n0\r\n\r\n", "hello");
    whole("5\nhello\n0\n\n", "hello");
    whole("0\r\n\r\n", "");
    whole("00A;x=\"y\"\r\n0\r\n\r\n45678\r\n1 \r\n9\r\n000\r\n\r\n", "0\r\n\r\n456789");
    whole("1\r\na\r\n0;last\r\nA: b\r\nC: d\r\n\r\nwhat is behind it", "a");

    is_not("5\r\nhel", H3_UNCHUNK_DATA);
    is_not("5\r\nhello", H3_UNCHUNK_DATA_CR);
    is_not("5\r\nhello\r\n", H3_UNCHUNK_SIZE);
    is_not("5\r\nhello\r\n0\r\n", H3_UNCHUNK_TRAILER);
    is_not("5\r\nhello\r\n0\r\nA: b\r\n", H3_UNCHUNK_TRAILER);

    is_not("\r\n5\r\nhello\r\n", H3_UNCHUNK_BAD);
    is_not("hello", H3_UNCHUNK_BAD);
    is_not("-1\r\n", H3_UNCHUNK_BAD);
    is_not("0x5\r\nhello", H3_UNCHUNK_BAD);
    is_not("5\rhello\r\n", H3_UNCHUNK_BAD);
    is_not("4\r\nhello\r\n", H3_UNCHUNK_BAD);
    is_not("10000000000000000\r\n", H3_UNCHUNK_BAD);
    return done_testing();
}
