/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of an emulated path: network namespaces that hold a loopback
 * and one TUN device each. They are gone when nobody has a process or a
 * descriptor in them any more.
 */
#ifndef PATH_NET_H
#define PATH_NET_H

#include <stdint.h>

typedef struct path_net {
    int ns;  /* the namespace, for setns() */
    int tun; /* reading gives what is sent there, writing is received there; does not block */
} path_net;

/*
 * Makes a namespace, which the process is in afterwards. The device's
 * addresses are 198.18.0.HOST and 2001:2::HOST. 0, or -1 after a message.
 */
int path_net_make(path_net *net, int host, int mtu);

/* What the device dropped because it was not read fast enough. */
uint64_t path_net_dropped(const path_net *net);

#endif /* PATH_NET_H */
