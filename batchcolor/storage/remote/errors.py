"""Errors of remote storage: which pass by themselves, and what a person does about the others."""

from __future__ import annotations

import errno
import socket
from typing import Literal

from batchcolor.storage.locations import describe_text

Kind = Literal["missing", "denied", "transient", "changed", "other"]
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TRANSIENT_CODES = frozenset(
    {
        *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"),
        *("ThrottlingException", "TooManyRequests", "TooManyRequestsException", "OperationAborted"),
        *("RequestLimitExceeded", "BandwidthLimitExceeded", "ServerBusy", "429", "500", "503"),
    }
)
"""Codes in the answers of S3 and of what is compatible with it."""
TRANSIENT_ERRNO = frozenset(
    {
        *(errno.EBUSY, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.EPIPE),
        *(errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EAGAIN),
        getattr(errno, "EREMOTEIO", errno.EIO),
    }
)
TRANSIENT_NAMES = frozenset(
    {
        *("ClientConnectionError", "ClientPayloadError", "ServerDisconnectedError"),
        *("ServerTimeoutError", "HTTPClientError", "EndpointConnectionError", "IncompleteRead"),
        *("ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "FSTimeoutError"),
        *("ResponseParserError", "ResponseStreamingError", "IncompleteReadError", "HttpError5xx"),
        *("ServiceRequestError", "ServiceResponseError", "IncompleteDownloadError"),
    }
)
"""Classes of aiohttp, botocore, fsspec and azure-core, which may not be installed."""
DENIED_NAMES = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
        *("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),
        *("DefaultCredentialsError", "RefreshError", "ClientAuthenticationError"),
        *("ProfileNotFound", "TokenRefreshRequired"),
    }
)


class StorageError(Exception):
    """An operation on remote storage failed. `str` is a sentence without credentials."""

    def __init__(self, kind: Kind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class IncompleteDownloadError(Exception):
    """A connection ended before the whole object arrived."""


class ChangedObjectError(Exception):
    """An object has another tag or size than when it was listed."""


def classify(error: BaseException) -> Kind:
    """What an error of fsspec or of the library below it means."""
    if isinstance(error, ChangedObjectError):
        return "changed"
    if isinstance(error, FileNotFoundError):
        return "missing"
    names = {base.__name__ for base in type(error).__mro__}
    if isinstance(error, PermissionError) or names & DENIED_NAMES:
        return "denied"
    code = _find_code(error)
    if code in ("PreconditionFailed", "412"):
        return "changed"
    status = getattr(error, "status", None) or getattr(error, "status_code", None)
    if isinstance(status, int):
        if status in (401, 403):
            return "denied"
        if status in TRANSIENT_STATUS:
            return "transient"
        return "missing" if status in (404, 410) else "other"
    if code in TRANSIENT_CODES:
        return "transient"
    is_timeout = isinstance(error, TimeoutError | ConnectionError | socket.timeout)
    if is_timeout or names & TRANSIENT_NAMES:
        return "transient"
    if isinstance(error, OSError) and error.errno in TRANSIENT_ERRNO:
        return "transient"
    return "other"


def explain(error: BaseException) -> str:
    """What happened, in words, without the URL and without credentials."""
    kind = classify(error)
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return f"the server answers {status} {getattr(error, 'message', '')}".rstrip()
    if kind == "missing":
        is_bucket = _find_code(error) == "NoSuchBucket"
        return "there is no such bucket" if is_bucket else "it does not exist"
    if kind == "denied":
        return "access is denied: check the credentials and the permissions"
    if kind == "changed":
        return "the source changed while the job ran"
    code = _find_code(error)
    if code:
        text = str(error) if not isinstance(error, OSError) else error.strerror or str(error)
        return describe_text(f"the server answers {code}: {text}".rstrip(": "))
    if isinstance(error, TimeoutError) or type(error).__name__.endswith("TimeoutError"):
        return "the server does not answer in time"
    text = describe_text(" ".join(str(error).split()))
    return text or type(error).__name__


def _find_code(error: BaseException) -> str:
    """The code in an answer of S3; empty where there is none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""
