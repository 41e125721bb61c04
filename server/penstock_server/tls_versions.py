"""How gRPC is kept to TLS 1.3.

Why: gRPC speaks TLS 1.2 and 1.3 and has no setting for the oldest version. It has one for the cipher suites of TLS 1.2,
an environment variable. With suites alone that need a key which both sides have beforehand, and which nobody has here,
no handshake of TLS 1.2 comes to an end. The suites of TLS 1.3 are not in that list.

Invariant: importing this module does not import gRPC, which reads the variable then.
"""

from __future__ import annotations

GRPC_CIPHERS_VARIABLE = "GRPC_SSL_CIPHER_SUITES"
GRPC_CIPHERS_OF_TLS_13 = "ECDHE-PSK-CHACHA20-POLY1305"
