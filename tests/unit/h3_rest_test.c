/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_rest.h"
#include "tap.h"

#define MIB (1024 * 1024)
#define SECOND 1000000000ull

static void bytes(void)
{
    h3_rest_list list = { NULL, 0 };
    h3_rest *rest;

    rest = h3_rest_begin(&list, 0, -1, 5, 10 * SECOND);
    ok(h3_rest_find(&list, 0) == rest && !h3_rest_find(&list, 4), "it is found by its stream");
    ok(h3_rest_is_expected(&list), "it is still to come");
    is_int(h3_rest_recv(rest, 32 * 1024), 0, "some of it");
    is_int(rest->until, 12 * SECOND, "buys it time: a second for each 16 KiB");
    is_int(h3_rest_recv(rest, 64 * MIB - 32 * 1024 - 1), 0,
           "without a length, 64 MiB less one byte");
    is_int(h3_rest_recv(rest, 1), 1, "the last that is received");
    is_int(h3_rest_recv(rest, 1000), 1, "more is too much, too");
    rest->stopped = 1;
    ok(!h3_rest_is_expected(&list), "one that was stopped is not waited for");
    is_int(h3_rest_end(&list, 0), 1, "it ends");
    is_int(h3_rest_end(&list, 0), 0, "once");
    ok(!list.first && !list.n, "nothing is left");
}

static void lengths(void)
{
    h3_rest_list list = { NULL, 0 };
    int64_t most = 1024LL * MIB;
    h3_rest *rest;

    ok(!h3_rest_begin(&list, 0, most + 101, 100, 0), "more is to come than is received");
    rest = h3_rest_begin(&list, 0, most + 100, 100, 0);
    ok(rest != NULL, "as much as is received");
    is_int(h3_rest_recv(rest, 65 * MIB), 0, "with a length it may be more than without");
    h3_rest_clear(&list);
}

static void number(void)
{
    h3_rest_list list = { NULL, 0 };
    int64_t id;

    for (id = 0; id < 400; id += 4) {
        if (!h3_rest_begin(&list, id, 10, 0, 0)) {
            break;
        }
    }
    is_int(id, 400, "a hundred at once");
    ok(!h3_rest_begin(&list, id, 10, 0, 0), "not one more");
    is_int(h3_rest_end(&list, 200), 1, "one of the middle ends");
    ok(!h3_rest_find(&list, 200) && h3_rest_find(&list, 196) && h3_rest_find(&list, 204),
       "the others stay");
    ok(h3_rest_begin(&list, id, 10, 0, 0) != NULL, "then another may begin");
    h3_rest_clear(&list);
    ok(!list.first && !list.n, "all are gone");
}

int main(void)
{
    bytes();
    lengths();
    number();
    return done_testing();
}
