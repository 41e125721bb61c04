"""What a client library says, as an error that names the URI and what to do.

Invariants: the one place that reads the library's texts. A failure is transient when the same request may succeed
later without anybody changing anything; the library has repeated those already, as long as its patience lasted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_store.base import ArtifactStoreError

_STATUS = re.compile(r"status code: (\d{3})|status: (\d{3})")
_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_REASON = re.compile(r'"reason": ?"([^"]{1,80})"')
_BUCKET_CODES = {"NoSuchBucket", "ContainerNotFound"}
_REGION_CODES = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


@dataclass(frozen=True, slots=True)
class Target:
    """What was reached for. `credentials` says in words where they come from."""

    uri: str
    bucket: str
    endpoint: str
    credentials: str


def is_missing(error: Exception) -> bool:
    """Whether the object is not there, as far as can be told: the bucket may be missing as well."""
    return isinstance(error, FileNotFoundError) and not _is_no_bucket(str(error))


def failure(error: Exception, target: Target) -> ArtifactStoreError:
    """The error for whatever the library raised."""
    text = str(error)
    status, code, said = _status(text), _found(_CODE, text), _found(_MESSAGE, text)
    at = f"{target.uri} at {target.endpoint}"
    if _is_no_bucket(text):
        return ArtifactStoreError(f"{at}: there is no bucket {target.bucket!r}; create it or correct the pipeline root")
    if status in (401, 403):
        why = f"{code}: {said}" if code else f"status {status}"
        return ArtifactStoreError(
            f"{at}: access denied ({why}); the credentials are {target.credentials}: check them and their rights"
        )
    if status in (301, 307, 308) or code in _REGION_CODES:
        return ArtifactStoreError(f"{at}: the bucket is in another region ({said or code or status}); set `region`")
    if status is not None and status != 404:
        transient = status in (408, 429) or status >= 500
        why = f"{code}: {said}" if code else f"status {status}"
        hint = "; it was asked again until patience ran out" if transient else ""
        return ArtifactStoreError(f"{at}: the store refused ({why}){hint}", transient=transient)
    if isinstance(error, FileNotFoundError):
        return ArtifactStoreError(f"{at}: nothing lies there")
    return _unanswered(text, at, target)


def _unanswered(text: str, at: str, target: Target) -> ArtifactStoreError:
    lower = text.lower()
    if "certificate" in lower or "invalidcertificate" in lower or "tls" in lower.split("debug source", 1)[-1]:
        return ArtifactStoreError(
            f"{at}: its TLS certificate is not trusted ({_innermost(text)}); give the CA as `caBundle`, or use http://"
        )
    if "parse path" in lower or "illegal character" in lower or "empty path segment" in lower:
        return ArtifactStoreError(
            f"{target.uri}: an object there has a name that cannot be a path (empty segments, '.', '..' and control "
            "characters are not supported)"
        )
    if "metadata endpoint" in lower or "169.254." in lower or "metadata.google" in lower or "token" in lower:
        return ArtifactStoreError(
            f"{at}: no credentials; they are {target.credentials}, and nothing is there: set them, or give the Pod's "
            "service account an identity"
        )
    if "timeout" in lower or "timed out" in lower:
        return ArtifactStoreError(f"{at}: it does not answer in time ({_innermost(text)})", transient=True)
    if "kind: connect" in lower or "dns" in lower or "connection" in lower or "sending request" in lower:
        return ArtifactStoreError(
            f"{at}: it cannot be reached ({_innermost(text)}); check the endpoint and the network", transient=True
        )
    return ArtifactStoreError(f"{at}: {text.split('Debug source', 1)[0].strip()[:500]}", transient=True)


def _is_no_bucket(text: str) -> bool:
    if _found(_CODE, text) in _BUCKET_CODES:
        return True
    return "The specified bucket does not exist" in text or "The specified container does not exist" in text


def _status(text: str) -> int | None:
    match = _STATUS.search(text)
    return int(match.group(1) or match.group(2)) if match else None


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group(1).strip() if match else ""


def _innermost(text: str) -> str:
    """The last cause in the library's chain."""
    quoted = re.findall(r'"((?:[^"\\]|\\.){3,200})"', text.split("Debug source", 1)[-1])
    return quoted[-1] if quoted else text.split("\n", 1)[0][:200]
