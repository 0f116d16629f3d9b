# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for one test run; nothing here outlives the run."""
import base64
import datetime
import hashlib
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Python 3.13 checks what RFC 5280 section 4.2.1.3 wants of a CA.
CA_KEY_USAGE = x509.KeyUsage(
    key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
    key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
    decipher_only=False)

DEFAULT_NAMES = ("h3.test", "*.h3.test", "127.0.0.1", "127.0.0.2", "::1", "localhost")


def _name(common):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "h3 tests"),
                      x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Pair:
    """A certificate with its key and the intermediates above it, as files and as objects."""

    def __init__(self, folder, stem, cert, key, chain=()):
        self.cert, self.key, self.chain = cert, key, list(chain)
        self.cert_file = os.path.join(folder, stem + ".crt")
        self.key_file = os.path.join(folder, stem + ".key")
        self.chain_file = os.path.join(folder, stem + "-chain.crt")
        self.fullchain_file = os.path.join(folder, stem + "-full.crt")
        self.combined_file = os.path.join(folder, stem + "-combined.pem")
        pem = cert.public_bytes(serialization.Encoding.PEM)
        above = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in self.chain)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
        self._write(self.cert_file, pem)
        self._write(self.chain_file, above)
        self._write(self.fullchain_file, pem + above)
        self._write(self.combined_file, pem + above + secret, 0o600)
        self._write(self.key_file, secret, 0o600)

    @staticmethod
    def _write(path, data, mode=0o644):
        with open(path, "wb") as out:
            os.fchmod(out.fileno(), mode)
            out.write(data)

    def encrypted_key_file(self, password=b"secret"):
        """The key once more, encrypted, as an administrator with a pass phrase has it."""
        path = self.key_file + ".enc"
        self._write(path, self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password)), 0o600)
        return path

    @property
    def spki_hash(self):
        """What Chromium's --ignore-certificate-errors-spki-list takes."""
        der = self.cert.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Authority:
    """A root, and an intermediate where a test asks for a chain."""

    def __init__(self, folder, name="root"):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self._pairs = {}
        key = self._new_key("ec")
        self.root = Pair(folder, name, self._sign(_name(name), key.public_key(), _name(name), key,
                                                  ca=True), key)
        self.file = self.root.cert_file

    @staticmethod
    def _new_key(kind):
        if kind == "ec":
            return ec.generate_private_key(ec.SECP256R1())
        if kind == "rsa":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        raise ValueError(kind)

    @staticmethod
    def _sign(subject, public_key, issuer, issuer_key, ca=False, names=(), usage=None, days=30,
              padding=0):
        now = datetime.datetime.now(datetime.timezone.utc)
        build = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                 .public_key(public_key).serial_number(x509.random_serial_number())
                 .not_valid_before(now - datetime.timedelta(hours=1))
                 .not_valid_after(now + datetime.timedelta(days=days, hours=12))
                 .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
                 .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key),
                                critical=False))
        if subject != issuer:
            build = build.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False)
        if ca:
            build = build.add_extension(CA_KEY_USAGE, critical=True)
        if names:
            build = build.add_extension(
                x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        if usage is not None:
            build = build.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if padding:
            build = build.add_extension(x509.UnrecognizedExtension(
                x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x04\x82" +
                padding.to_bytes(2, "big") + os.urandom(padding)), critical=False)
        return build.sign(issuer_key, hashes.SHA256())

    def intermediate(self):
        if "intermediate" not in self._pairs:
            key = self._new_key("ec")
            cert = self._sign(_name("intermediate"), key.public_key(), self.root.cert.subject,
                              self.root.key, ca=True)
            self._pairs["intermediate"] = Pair(self.folder, "intermediate", cert, key)
        return self._pairs["intermediate"]

    def leaf(self, stem="h3", kind="ec", names=DEFAULT_NAMES, chained=False, padding=0,
             subject=None):
        """A server certificate; the same stem gives the same one again."""
        if stem not in self._pairs:
            above = self.intermediate() if chained else self.root
            key = self._new_key(kind)
            cert = self._sign(subject or _name(names[0]), key.public_key(), above.cert.subject,
                              above.key, names=names, usage=ExtendedKeyUsageOID.SERVER_AUTH,
                              padding=padding)
            self._pairs[stem] = Pair(self.folder, stem, cert, key,
                                     [above.cert] if chained else [])
        return self._pairs[stem]

    def client(self, stem="client", common="test client"):
        if stem not in self._pairs:
            key = self._new_key("ec")
            cert = self._sign(_name(common), key.public_key(), self.root.cert.subject,
                              self.root.key, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
            self._pairs[stem] = Pair(self.folder, stem, cert, key)
        return self._pairs[stem]
