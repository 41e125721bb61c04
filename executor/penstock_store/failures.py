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
_ASKED = re.compile(r"Error performing [A-Z]+ https?://([^/\s:]+)")
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_CREDENTIAL_HOST = re.compile(
    r"169\.254\.\d+\.\d+|metadata\.google\.internal|sts\..*|oauth2\..*|login\.microsoftonline\.com"
)
_BUCKET_CODES = {"NoSuchBucket", "ContainerNotFound"}
_TOKEN_CODES = {"InvalidToken", "ExpiredToken"}
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


def is_past_the_end(error: Exception) -> bool:
    """Whether a range begins where the object has ended."""
    return _status(str(error)) == 416 or "StartTooLarge" in str(error)


def is_lost_upload(error: Exception) -> bool:
    """Whether the store does not know an upload in parts, or does not any more."""
    return _found(_CODE, str(error)) == "NoSuchUpload"


def failure(error: Exception, target: Target) -> ArtifactStoreError:
    """The error for whatever the library raised."""
    text = str(error)
    status, code, said = _status(text), _found(_CODE, text), _found(_MESSAGE, text)
    why = f"{code}: {said}" if code else f"status {status}"
    at = f"{target.uri} at {target.endpoint}"
    if "Could not parse path" in text or "Error parsing Path" in text or "empty path segment" in text:
        return ArtifactStoreError(
            f"{target.uri}: a name there cannot be a path: empty segments, '.', '..' and control characters are refused"
        )
    asked = _found(_ASKED, text)
    if "TokenRequest" in text or _CREDENTIAL_HOST.fullmatch(asked):
        return ArtifactStoreError(
            f"{at}: no credentials; they are {target.credentials}, and {asked or 'the provider'} gave none: set them, "
            "or give the service account an identity",
            transient=status is None or status >= 500,
        )
    if _is_no_bucket(text):
        return ArtifactStoreError(f"{at}: there is no bucket {target.bucket!r}; create it or correct the pipeline root")
    if status in (401, 403) or code in _TOKEN_CODES:
        return ArtifactStoreError(
            f"{at}: access denied ({why}); the credentials are {target.credentials}: check them and their rights"
        )
    if status in (301, 307, 308) or code in _REGION_CODES:
        return ArtifactStoreError(f"{at}: the bucket is in another region ({said or code or status}); set `region`")
    if is_lost_upload(error):
        return ArtifactStoreError(f"{at}: the store has lost the upload", transient=True)
    if isinstance(error, FileNotFoundError):
        return ArtifactStoreError(f"{at}: nothing lies there")
    if status is not None:
        transient = status in (408, 429) or status >= 500
        hint = "; it was asked again until patience ran out" if transient else ""
        return ArtifactStoreError(f"{at}: the store refused ({why}){hint}", transient=transient)
    return _unanswered(text, at)


def _unanswered(text: str, at: str) -> ArtifactStoreError:
    kind, cause = _found(_KIND, text), text.partition("HttpError {")[2]
    if "InvalidCertificate" in cause:
        return ArtifactStoreError(
            f"{at}: its TLS certificate is not trusted ({_last_words(cause)}); give the CA that signed it as `caBundle`"
        )
    if kind == "Timeout":
        return ArtifactStoreError(f"{at}: it does not answer in time", transient=True)
    if kind:
        return ArtifactStoreError(
            f"{at}: it cannot be reached ({_last_words(cause)}); check the endpoint and the network", transient=True
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


def _last_words(cause: str) -> str:
    """The innermost of nested causes: the last text in quotes, or the last name."""
    found: list[str] = re.findall(r'"((?:[^"\\]|\\.){1,200})"', cause) or re.findall(r"\b[A-Z]\w+", cause)
    return found[-1] if found else "no reason given"
