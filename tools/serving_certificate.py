"""A certificate that a cluster's API server takes for a kubelet's: for programs that answer as one.

The cluster's own signer makes it (KEP-1513, signer kubernetes.io/kubelet-serving). Invariant: the request is deleted,
whatever became of it; the key is known to its directory alone.
"""

from __future__ import annotations

import base64
import ipaddress
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tools.cluster import Cluster

_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_SECONDS = 30.0


def serving_certificate(cluster: Cluster, address: str, directory: Path) -> tuple[Path, Path]:
    """Files of a certificate for an IP address and of its key. Raises AssertionError when nobody signs."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"penstock-{uuid.uuid4().hex[:12]}"
    subject = [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, f"system:node:{name}")]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, key_file = directory / "tls.crt", directory / "tls.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate.write_bytes(_signed(cluster, name, request.public_bytes(serialization.Encoding.PEM)))
    return certificate, key_file


def _signed(cluster: Cluster, name: str, request: bytes) -> bytes:
    spec = {
        "request": base64.b64encode(request).decode(),
        "signerName": "kubernetes.io/kubelet-serving",
        "usages": ["digital signature", "server auth"],
    }
    cluster.create(_PATH, {"metadata": {"name": name}, "spec": spec})
    try:
        condition = {"type": "Approved", "status": "True", "reason": "Penstock", "message": "for a fake node"}
        approval = {"status": {"conditions": [condition]}}
        cluster.wait(cluster.client.patch_merge(f"{_PATH}/{name}/approval", approval))
        return base64.b64decode(cluster.until(lambda: _certificate(cluster, name), bool, _SECONDS))
    finally:
        cluster.delete(f"{_PATH}/{name}")


def _certificate(cluster: Cluster, name: str) -> str:
    """Empty until it is signed."""
    return str((cluster.get(f"{_PATH}/{name}") or {}).get("status", {}).get("certificate", ""))
