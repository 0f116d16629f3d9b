/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>
#include "quic/quic_mem.h"
#include "tap.h"

static quic_mem m;

static void *get(size_t size)
{
    return m.mem.malloc(size, m.mem.user_data);
}

static void *get_zeroed(size_t number, size_t size)
{
    return m.mem.calloc(number, size, m.mem.user_data);
}

static void *resize(void *ptr, size_t size)
{
    return m.mem.realloc(ptr, size, m.mem.user_data);
}

static void give_back(void *ptr)
{
    m.mem.free(ptr, m.mem.user_data);
}

static void outside_of_receiving(void)
{
    void *a, *b;

    quic_mem_init(&m, 100);
    a = get(100000);
    b = get_zeroed(10, 10000);
    ok(a && b, "what is allocated at other times is not bounded");
    is_int(m.used, 0, "nor counted");
    a = resize(a, 200000);
    is_int(m.used, 0, "nor resized");
    m.receiving = 1;
    give_back(a);
    give_back(b);
    give_back(NULL);
    is_int(m.used, 0, "nor freed");
    ok(!m.exceeded, "nothing was refused");
}

static void while_receiving(void)
{
    void *some[100];
    size_t n = 0, i, full;

    quic_mem_init(&m, 4096);
    m.receiving = 1;
    while (n < 100 && (some[n] = get(16))) {
        n++;
    }
    ok(n > 40 && n < 100, "%d small objects", (int)n);
    ok(m.used <= 4096 && m.used > 4000, "they count for more than their bytes: %d", (int)m.used);
    full = m.used;
    ok(!get_zeroed(1, 100) && !resize(NULL, 100) && !resize(some[0], 1000), "and then no more");
    is_int(m.used, full, "what failed does not count");
    ok(m.exceeded, "and is told");
    memset(some[0], 1, 16);
    m.receiving = 0;
    ok((some[0] = resize(some[0], 1000)) != NULL, "later it may grow");
    is_int(m.used, full + 1000 - 16, "and goes on to count");
    m.receiving = 1;
    ok(!get(1), "also against the limit");
    for (i = 0; i < n; i++) {
        give_back(some[i]);
    }
    is_int(m.used, 0, "all is given back");
    ok(get(1000000) == NULL, "nothing larger than the limit");
}

static void overflow(void)
{
    void *a;

    quic_mem_init(&m, SIZE_MAX);
    ok(!get(SIZE_MAX) && !get(SIZE_MAX - 20) && !resize(NULL, SIZE_MAX - 1), "no size wraps");
    ok(!get_zeroed(SIZE_MAX / 2, 3), "nor a product");
    a = get_zeroed(0, 8);
    ok(a != NULL, "of none");
    a = resize(a, 100);
    memset(a, 1, 100);
    a = resize(a, 10);
    is_int(((uint8_t *)a)[9], 1, "bytes stay");
    ok((uintptr_t)a % _Alignof(max_align_t) == 0, "aligned as malloc does");
    give_back(a);
}

int main(void)
{
    outside_of_receiving();
    while_receiving();
    overflow();
    return done_testing();
}
