/* SPDX-License-Identifier: Apache-2.0 */
#include "path_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>

#define DEVICE "path0"
/* More than any sender has in the air: it is the emulator that drops, and counts. */
#define DEVICE_QUEUE 20000

static int open_tun(void);
static int configure(int host, int mtu);
static int set_ipv4(int fd, int host, int mtu);
static int set_ipv6(int fd, int host);
static void write_file(const char *path, const char *text);
static int complain(const char *what);

int path_net_make(path_net *net, int host, int mtu)
{
    if (unshare(CLONE_NEWNET)) {
        return complain("no network namespace (root?)");
    }
    net->ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (net->ns < 0) {
        return complain("/proc/self/ns/net");
    }
    net->tun = open_tun();
    return net->tun < 0 ? -1 : configure(host, mtu);
}

static int complain(const char *what)
{
    fprintf(stderr, "path: %s: %s\n", what, strerror(errno));
    return -1;
}

/* Without IFF_VNET_HDR the kernel cuts segments and computes checksums before we see them. */
static int open_tun(void)
{
    struct ifreq ifr;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    memset(&ifr, 0, sizeof(ifr));
    strcpy(ifr.ifr_name, DEVICE);
    ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
        return complain("/dev/net/tun");
    }
    return fd;
}

static int configure(int host, int mtu)
{
    int rv, v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
            v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    /* No traffic but the command's own: no link-local address is made, no group is joined. */
    write_file("/proc/sys/net/ipv6/conf/" DEVICE "/addr_gen_mode", "1");
    write_file("/proc/sys/net/ipv6/conf/" DEVICE "/accept_ra", "0");
    rv = v4 < 0 ? -1 : set_ipv4(v4, host, mtu);
    /* A kernel without IPv6 has the other half of a path. */
    if (!rv && v6 >= 0) {
        rv = set_ipv6(v6, host);
    }
    if (rv) {
        complain(DEVICE);
    }
    close(v4);
    close(v6);
    return rv;
}

static int set_address(int fd, struct ifreq *ifr, unsigned long request, const char *address)
{
    struct sockaddr_in in = { .sin_family = AF_INET };

    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&ifr->ifr_addr, &in, sizeof(in));
    return ioctl(fd, request, ifr);
}

static int set_ipv4(int fd, int host, int mtu)
{
    struct ifreq ifr;
    char address[32];

    memset(&ifr, 0, sizeof(ifr));
    strcpy(ifr.ifr_name, "lo");
    ifr.ifr_flags = IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &ifr)) {
        return -1;
    }
    strcpy(ifr.ifr_name, DEVICE);
    ifr.ifr_mtu = mtu;
    if (ioctl(fd, SIOCSIFMTU, &ifr)) {
        return -1;
    }
    ifr.ifr_qlen = DEVICE_QUEUE;
    if (ioctl(fd, SIOCSIFTXQLEN, &ifr)) {
        return -1;
    }
    snprintf(address, sizeof(address), "198.18.0.%d", host);
    if (set_address(fd, &ifr, SIOCSIFADDR, address)
        || set_address(fd, &ifr, SIOCSIFNETMASK, "255.255.255.0")) {
        return -1;
    }
    ifr.ifr_flags = IFF_UP | IFF_POINTOPOINT | IFF_NOARP;
    return ioctl(fd, SIOCSIFFLAGS, &ifr);
}

static int set_ipv6(int fd, int host)
{
    struct in6_ifreq ifr6;
    struct ifreq ifr;
    char address[32];

    memset(&ifr, 0, sizeof(ifr));
    strcpy(ifr.ifr_name, DEVICE);
    if (ioctl(fd, SIOCGIFINDEX, &ifr)) {
        return -1;
    }
    memset(&ifr6, 0, sizeof(ifr6));
    snprintf(address, sizeof(address), "2001:2::%d", host);
    inet_pton(AF_INET6, address, &ifr6.ifr6_addr);
    ifr6.ifr6_prefixlen = 64;
    ifr6.ifr6_ifindex = ifr.ifr_ifindex;
    return ioctl(fd, SIOCSIFADDR, &ifr6);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        /* What cannot be set adds a few packets to the report, no more. */
        if (write(fd, text, strlen(text)) < 0) {
            complain(path);
        }
        close(fd);
    }
}

uint64_t path_net_dropped(const path_net *net)
{
    uint64_t dropped = 0;
    char line[512];
    FILE *f;

    if (setns(net->ns, CLONE_NEWNET)) {
        return 0;
    }
    f = fopen("/proc/self/net/dev", "re");
    while (f && fgets(line, sizeof(line), f)) {
        const char *at = strstr(line, DEVICE ":");

        if (at) {
            /* Eight numbers of receiving; then of sending: bytes, packets, errors, dropped. */
            sscanf(at + strlen(DEVICE ":"), "%*u%*u%*u%*u%*u%*u%*u%*u%*u%*u%*u%" SCNu64, &dropped);
        }
    }
    if (f) {
        fclose(f);
    }
    return dropped;
}
