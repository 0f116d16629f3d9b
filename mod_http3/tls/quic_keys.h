/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet protection of QUIC: from a secret of TLS, or a connection ID, to the keys of packets and
 * headers (RFC 9001 section 5, for version 2 RFC 9369 section 3.3), and sealing and opening with
 * them, by AES-128-GCM, AES-256-GCM or ChaCha20-Poly1305. Also the HMAC and the random bytes that
 * connection IDs and tokens are made of. Knows nothing of the handshake: that is quic_crypto.
 *
 * Keeps nothing but constants. What takes an ngtcp2_conn runs on the thread that owns it, all else
 * on any thread. Keys belong to the connection they are installed in, and are freed with it.
 * Serves both ends, so that the load client of the benchmarks needs no copy.
 */
#ifndef QUIC_KEYS_H
#define QUIC_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>

/*
 * Fills in what ngtcp2 asks of packet protection: recv_client_initial, recv_retry,
 * version_negotiation, encrypt, decrypt, hp_mask, update_key, delete_crypto_aead_ctx,
 * delete_crypto_cipher_ctx, get_path_challenge_data2. Touches no other member of `cb`.
 */
void quic_keys_callbacks(ngtcp2_callbacks *cb);

/*
 * Gives a client's connection the keys for its first flight, derived from the connection ID that
 * it made up (RFC 9001 section 5.2), and the key for checking the integrity tag of a Retry (section
 * 5.8). 0 or -1.
 */
int quic_keys_install_client_initial(ngtcp2_conn *conn);

/*
 * Derives and installs the keys of a traffic secret at `level`, Handshake or 1-RTT, for packets
 * that are received (rx) or sent (tx). `suite` is the cipher suite's number (RFC 8446 section B.4);
 * the first one settles the connection's. The version must be settled by then, on a server by the
 * client's transport parameters. 0, or -1 with nothing installed.
 */
int quic_keys_install_rx(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint16_t suite,
                         const uint8_t *secret, size_t secretlen);
int quic_keys_install_tx(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint16_t suite,
                         const uint8_t *secret, size_t secretlen);

/*
 * Writes an Initial packet with CONNECTION_CLOSE and `error` for a client that gets no connection
 * (RFC 9000 section 5.2.2), without any state. `dcid` is the client's source ID, `odcid` the
 * destination ID of its Initial, `scid` any ID of ours. Returns the length, or -1.
 */
long quic_keys_initial_close(uint8_t *dest, size_t destlen, uint32_t version,
                             const ngtcp2_cid *dcid, const ngtcp2_cid *scid,
                             const ngtcp2_cid *odcid, uint64_t error);

/*
 * HMAC-SHA256 of `data` (RFC 2104), the whole 32 bytes into `out`; for connection IDs,
 * stateless-reset tokens and hash keys. 0 or -1.
 */
int quic_keys_hmac(uint8_t out[32], const uint8_t *key, size_t keylen, const uint8_t *data,
                   size_t datalen);

/* Random bytes that an attacker cannot guess. Safe on every thread, after a fork too. */
void quic_keys_rand(uint8_t *out, size_t len);

#endif /* QUIC_KEYS_H */
