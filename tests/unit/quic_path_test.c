/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include "quic/quic_path.h"
#include "tap.h"

static quic_listener one, other;

static quic_path ipv4(const char *local, const char *remote, uint16_t port)
{
    quic_path p;

    memset(&p, 0, sizeof(p));
    p.local.in.sin_family = p.remote.in.sin_family = AF_INET;
    p.local.in.sin_port = htons(443);
    p.remote.in.sin_port = htons(port);
    inet_pton(AF_INET, local, &p.local.in.sin_addr);
    inet_pton(AF_INET, remote, &p.remote.in.sin_addr);
    p.listener = &one;
    return p;
}

static quic_path ipv6(const char *remote, uint16_t port)
{
    quic_path p;

    memset(&p, 0, sizeof(p));
    p.local.in6.sin6_family = p.remote.in6.sin6_family = AF_INET6;
    p.local.in6.sin6_port = htons(443);
    p.remote.in6.sin6_port = htons(port);
    inet_pton(AF_INET6, "2001:db8::1", &p.local.in6.sin6_addr);
    inet_pton(AF_INET6, remote, &p.remote.in6.sin6_addr);
    p.listener = &one;
    return p;
}

static void there_and_back(quic_path p, const char *what)
{
    ngtcp2_path shown;
    quic_path copy;

    quic_path_show(&shown, &p);
    quic_path_copy(&copy, &shown, &other);
    ok(quic_path_equal(&p, &copy), "%s: the addresses come back", what);
    ok(copy.listener == &one, "%s: with their socket", what);
    shown.user_data = NULL;
    quic_path_copy(&copy, &shown, &other);
    ok(copy.listener == &other, "%s: or the one that is given", what);
}

static void changes(void)
{
    quic_path a = ipv4("192.0.2.1", "192.0.2.2", 5000), b = a;
    quic_path six = ipv6("2001:db8::2", 5000), six_port = ipv6("2001:db8::2", 5001);

    ok(quic_path_equal(&a, &b) && quic_path_same_but_port(&a, &b), "nothing has changed");
    b = ipv4("192.0.2.1", "192.0.2.2", 5001);
    ok(!quic_path_equal(&a, &b) && quic_path_same_but_port(&a, &b), "another port of the client");
    ok(!quic_path_equal(&six, &six_port) && quic_path_same_but_port(&six, &six_port),
       "and over IPv6");
    b = ipv4("192.0.2.1", "192.0.2.3", 5000);
    ok(!quic_path_equal(&a, &b) && !quic_path_same_but_port(&a, &b), "another client address");
    b = ipv4("192.0.2.9", "192.0.2.2", 5000);
    ok(!quic_path_equal(&a, &b) && !quic_path_same_but_port(&a, &b), "another address of ours");
    ok(!quic_path_same_but_port(&a, &six), "another family");
}

int main(void)
{
    there_and_back(ipv4("192.0.2.1", "192.0.2.2", 5000), "IPv4");
    there_and_back(ipv6("2001:db8::2", 5000), "IPv6");
    changes();
    return done_testing();
}
