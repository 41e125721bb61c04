"""Turns errors of the client library into errors that name the URI and what to do.

Invariants: the only module that parses the library's texts. A failure is transient when the same request may succeed
later without any change; the library has retried it already, for `Limits.retry_seconds`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_store.base import ArtifactStoreError

_STATUS = re.compile(r"status code: (\d{3})|status: (\d{3})")
_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})</Message>")
_HOST = re.compile(r"Error performing [A-Z]+ https?://([^/\s:]+)")
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_CREDENTIAL_HOST = re.compile(
    r"169\.254\.\d+\.\d+|metadata\.google\.internal|sts\..*|oauth2\..*|login\.microsoftonline\.com"
)
_BUCKET_CODES = {"NoSuchBucket", "ContainerNotFound"}
_TOKEN_CODES = {"InvalidToken", "ExpiredToken"}
_EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException"}
_REGION_CODES = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
# S3's 301 for a bucket of another region has no Location; the library drops its status and its body.
_REDIRECT_TO_NOWHERE = "redirect without LOCATION"


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a request. `credentials` says in words where they come from; `session`: they are temporary."""

    uri: str
    bucket: str
    endpoint: str
    credentials: str
    session: bool = False


def is_missing(error: Exception) -> bool:
    """Whether the object does not exist. Some answers are the same when its bucket does not exist."""
    return isinstance(error, FileNotFoundError) and not _is_missing_bucket(str(error))


def is_past_the_end(error: Exception) -> bool:
    """Whether the requested range begins behind the end of the object."""
    return _status(str(error)) == 416 or "StartTooLarge" in str(error)


def is_lost_upload(error: Exception) -> bool:
    """Whether the store does not know a multipart upload, or no longer."""
    return _first_group(_CODE, str(error)) == "NoSuchUpload"


def is_unsupported(error: Exception) -> bool:
    """Whether the store does not know what was asked of it, as some do not know that an object has to be new."""
    return _status(str(error)) == 501


def is_unexplained(error: Exception) -> bool:
    """Whether a refusal may have many reasons and gives none: one of a HEAD, for which the same GET may give one."""
    text = str(error)
    return _status(text) in (400, 403) and not _first_group(_CODE, text)


def may_hide_absence(error: Exception) -> bool:
    """Whether the refusal may mean that nothing lies there: who may not list all of a bucket is not told."""
    text = str(error)
    return _status(text) == 403 and _first_group(_CODE, text) == "AccessDenied" and "kms:" not in text


def failure(error: Exception, target: Target) -> ArtifactStoreError:
    """The ArtifactStoreError for an exception of the library."""
    text = str(error)
    status, code, message = _status(text), _first_group(_CODE, text), _first_group(_MESSAGE, text)
    reason = f"{code}: {message}" if code else f"status {status}"
    prefix = f"{target.uri} at {target.endpoint}"
    if "Could not parse path" in text or "Error parsing Path" in text or "empty path segment" in text:
        return ArtifactStoreError(
            f"{target.uri}: a name there cannot be a path: empty segments, '.', '..' and control characters are refused"
        )
    host = _first_group(_HOST, text)
    if "TokenRequest" in text or _CREDENTIAL_HOST.fullmatch(host):
        return ArtifactStoreError(
            f"{prefix}: no credentials; they are {target.credentials}, and {host or 'the provider'} gave none: set "
            "them, or give the service account an identity",
            transient=status is None or status >= 500,
        )
    if _is_missing_bucket(text):
        return ArtifactStoreError(
            f"{prefix}: there is no bucket {target.bucket!r}; create it or correct the pipeline root"
        )
    if target.session and code in _EXPIRED_CODES:
        return ArtifactStoreError(
            f"{prefix}: the attempt's temporary credentials have expired, and the executor, which renews them in half "
            "of their time, has not",
            transient=True,
        )
    if target.session and "credential provider" in text:
        if "FileNotFoundError" not in text:
            return ArtifactStoreError(f"{prefix}: the attempt's temporary credentials cannot be read")
        return ArtifactStoreError(f"{prefix}: this attempt has no right there; it has {target.credentials}")
    if status in (401, 403) or code in _TOKEN_CODES:
        return ArtifactStoreError(
            f"{prefix}: access denied ({reason}); the credentials are {target.credentials}: check them and their rights"
        )
    if status in (301, 307, 308) or code in _REGION_CODES or _REDIRECT_TO_NOWHERE in text:
        reason = message or code or f"status {status or 301}"
        return ArtifactStoreError(f"{prefix}: the bucket is in another region ({reason}); set `region`")
    if is_lost_upload(error):
        return ArtifactStoreError(f"{prefix}: the store has lost the upload", transient=True)
    if isinstance(error, FileNotFoundError):
        return ArtifactStoreError(f"{prefix}: nothing lies there")
    if status is not None:
        transient = status in (408, 429) or status >= 500
        hint = "; it was asked again until patience ran out" if transient else ""
        return ArtifactStoreError(f"{prefix}: the store refused ({reason}){hint}", transient=transient)
    return _connection_failure(text, prefix)


def _connection_failure(text: str, prefix: str) -> ArtifactStoreError:
    kind, cause = _first_group(_KIND, text), text.partition("HttpError {")[2]
    if "InvalidCertificate" in cause:
        return ArtifactStoreError(
            f"{prefix}: its TLS certificate is not trusted ({_innermost_cause(cause)}); give the CA that signed it as "
            "`caBundle`"
        )
    if kind == "Timeout":
        return ArtifactStoreError(f"{prefix}: it does not answer in time", transient=True)
    if kind:
        return ArtifactStoreError(
            f"{prefix}: it cannot be reached ({_innermost_cause(cause)}); check the endpoint and the network",
            transient=True,
        )
    return ArtifactStoreError(f"{prefix}: {text.split('Debug source', 1)[0].strip()[:500]}", transient=True)


def _is_missing_bucket(text: str) -> bool:
    if _first_group(_CODE, text) in _BUCKET_CODES:
        return True
    return "The specified bucket does not exist" in text or "The specified container does not exist" in text


def _status(text: str) -> int | None:
    match = _STATUS.search(text)
    return int(match.group(1) or match.group(2)) if match else None


def _first_group(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group(1).strip() if match else ""


def _innermost_cause(cause: str) -> str:
    """The innermost of nested causes: the last text in quotes, or the last name."""
    words: list[str] = re.findall(r'"((?:[^"\\]|\\.){1,200})"', cause) or re.findall(r"\b[A-Z]\w+", cause)
    return words[-1] if words else "no reason given"
