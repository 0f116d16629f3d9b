/* SPDX-License-Identifier: Apache-2.0 */
/* quic_addr: text, port, length, comparison, mapped addresses, wildcards, APR's addresses. */
#include "quic/quic_addr.h"

#include "tap.h"
#include "loopback.h"

static void test_addr(void)
{
    char buf[QUIC_ADDR_STRLEN];
    quic_addr a = addr_of("192.0.2.1", 443), b = addr_of("2001:db8::1", 8443), c, d;

    is_str(quic_addr_str(buf, &a), "192.0.2.1:443", "IPv4 as text");
    is_str(quic_addr_str(buf, &b), "[2001:db8::1]:8443", "IPv6 as text");
    is_int(quic_addr_port(&b), 8443, "its port");
    is_int(quic_addr_len(&a), sizeof(struct sockaddr_in), "length of IPv4");
    is_int(quic_addr_len(&b), sizeof(struct sockaddr_in6), "length of IPv6");
    c = a;
    d = b;
    ok(quic_addr_equal(&a, &c) && quic_addr_equal(&b, &d), "equal to themselves");
    ok(!quic_addr_equal(&a, &b), "not to each other");
    c.in.sin_port = htons(444);
    d.in6.sin6_port = htons(8444);
    ok(!quic_addr_equal(&a, &c) && !quic_addr_equal(&b, &d), "not to another port");
    c = addr_of("192.0.2.2", 443);
    d = addr_of("2001:db8::2", 8443);
    ok(!quic_addr_equal(&a, &c) && !quic_addr_equal(&b, &d), "not to another host");

    c = addr_of("::ffff:192.0.2.1", 443);
    quic_addr_unmap(&c);
    ok(quic_addr_equal(&a, &c), "a mapped address unmapped");
    c = b;
    quic_addr_unmap(&c);
    ok(quic_addr_equal(&b, &c), "an IPv6 address stays");
    c = a;
    quic_addr_unmap(&c);
    ok(quic_addr_equal(&a, &c), "an IPv4 address stays");
}

/* APR's addresses, and wildcards. */
static void test_of(void)
{
    apr_sockaddr_t sa;
    quic_addr a = addr_of("192.0.2.1", 443), b = addr_of("2001:db8::1", 8443), c;

    memset(&sa, 0, sizeof(sa));
    sa.family = APR_INET;
    sa.sa.sin = a.in;
    c = quic_addr_of(&sa);
    ok(quic_addr_equal(&a, &c), "IPv4 from APR");
    sa.family = APR_INET6;
    sa.sa.sin6 = b.in6;
    c = quic_addr_of(&sa);
    ok(quic_addr_equal(&b, &c), "IPv6 from APR");
    ok(!quic_addr_is_any(&a) && !quic_addr_is_any(&b), "neither is a wildcard");
    a = addr_of("0.0.0.0", 443);
    b = addr_of("::", 443);
    ok(quic_addr_is_any(&a) && quic_addr_is_any(&b), "these are");
}

int main(void)
{
    test_addr();
    test_of();
    return done_testing();
}
