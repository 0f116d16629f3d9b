/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The algorithms for congestion control (RFC 9002 section 7), and what their names mean: those of a
 * configuration, and those that the kernel has for TCP.
 *
 * Values; for any thread.
 */
#ifndef QUIC_CC_H
#define QUIC_CC_H

#include <ngtcp2/ngtcp2.h>

typedef enum { QUIC_CC_BBR, QUIC_CC_CUBIC, QUIC_CC_RENO } quic_cc;

/* By its name, in upper or lower case. 0, or -1: there is none of this name. */
int quic_cc_parse(quic_cc *cc, const char *name);

/* "bbr", "cubic" or "reno". */
const char *quic_cc_name(quic_cc cc);

/*
 * What comes closest to an algorithm of TCP, by the name in net.ipv4.tcp_congestion_control. NULL:
 * it is not known.
 */
quic_cc quic_cc_like_tcp(const char *name);

/* As the library calls it, for ngtcp2_settings. */
ngtcp2_cc_algo quic_cc_algo(quic_cc cc);

#endif /* QUIC_CC_H */
