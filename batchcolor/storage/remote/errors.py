"""Errors of remote storage: which pass by themselves, and what a person does about the others."""

from __future__ import annotations

import contextlib
import errno
import platform
import socket
import time
from email.utils import parsedate_to_datetime
from typing import Literal

from batchcolor.storage.locations import describe_text

Kind = Literal["missing", "denied", "transient", "changed", "other"]
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TRANSIENT_CODES = frozenset(
    {
        *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"),
        *("ThrottlingException", "TooManyRequests", "TooManyRequestsException", "OperationAborted"),
        *("RequestLimitExceeded", "BandwidthLimitExceeded", "ServerBusy", "429", "500", "503"),
        "ConditionalRequestConflict",
    }
)
"""Codes in the answers of S3 and of what is compatible with it."""
CHANGED_CODES = frozenset({"PreconditionFailed", "412", "ConditionNotMet", "BlobAlreadyExists"})
"""Codes for a condition of a request that does not hold."""
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
TORN_NAMES = frozenset(
    {
        *("ClientPayloadError", "ServerDisconnectedError", "IncompleteRead", "IncompleteReadError"),
        *("ResponseStreamingError", "ConnectionClosedError"),
    }
)
"""Of these, the classes for a connection that ended within an answer or before it."""
DENIED_NAMES = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
        *("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),
        *("DefaultCredentialsError", "RefreshError", "ClientAuthenticationError"),
        *("ProfileNotFound", "TokenRefreshRequired"),
    }
)


MISSING = {
    "NoSuchBucket": "there is no such bucket",
    "ContainerNotFound": "there is no such container",
}
"""What does not exist, by the code in the answer."""


MAX_CLOCK_DIFFERENCE = 240.0
"""Seconds between the clocks of a computer and of a service that no service refuses: they permit 5
or 15 minutes."""
UNSUPPORTED_STATUS = frozenset({405, 501})
"""Of answers to requests with a header or method that a server does not have."""


class StorageError(Exception):
    """An operation on remote storage failed. `str` is a sentence without credentials."""

    def __init__(self, kind: Kind, sentence: str, status: int | None = None) -> None:
        """`status` is that of the server's answer, if there was one."""
        super().__init__(sentence)
        self.kind, self.status = kind, status

    @property
    def is_unsupported(self) -> bool:
        """Whether the server does not have what was asked for, such as conditions."""
        return self.status in UNSUPPORTED_STATUS


class IncompleteDownloadError(Exception):
    """A connection ended before the whole object arrived."""


class HttpStatusError(Exception):
    """An answer of an HTTP server that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status, self.message = status, message


class ChangedObjectError(Exception):
    """An object has another tag or size than when it was listed, or than a condition states."""


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
    if code in CHANGED_CODES:
        return "changed"
    if code in TRANSIENT_CODES:
        return "transient"
    if (status := find_status(error)) is not None and status >= 400:
        if status in (401, 403):
            return "denied"
        if status in TRANSIENT_STATUS:
            return "transient"
        if status in (404, 410):
            return "missing"
        return "changed" if status == 412 else "other"
    is_timeout = isinstance(error, TimeoutError | ConnectionError | socket.timeout)
    if is_timeout or names & TRANSIENT_NAMES:
        return "transient"
    if isinstance(error, OSError) and error.errno in TRANSIENT_ERRNO:
        return "transient"
    return "other"


def explain(error: BaseException) -> str:
    """What happened, in words, without the URL and without credentials."""
    kind = classify(error)
    if kind == "missing":
        return MISSING.get(_find_code(error), "it does not exist")
    status = getattr(error, "status", None) or getattr(error, "status_code", None)
    if isinstance(status, int) and kind not in ("denied", "changed"):
        lines = str(getattr(error, "message", "")).splitlines() or [""]
        return describe_text(f"the server answers {status} {lines[0]}".rstrip())
    if kind == "denied":
        return _explain_denial(error)
    if kind == "changed":
        return "the source changed while the job ran"
    code = _find_code(error)
    if code:
        return describe_text(f"the server answers {code}: {_find_message(error)}".rstrip(": "))
    if isinstance(error, TimeoutError) or type(error).__name__.endswith("TimeoutError"):
        return "the server does not answer in time"
    if TORN_NAMES.intersection(base.__name__ for base in type(error).__mro__):
        return "the connection broke off before the answer was complete"
    text = describe_text(" ".join(str(error).split()))
    return text or type(error).__name__


def _find_message(error: BaseException) -> str:
    """What the server says beside a code, without what the library says about its attempts."""
    for one in (error, error.__cause__):  # s3fs translates those of botocore
        response = getattr(one, "response", None)
        if isinstance(response, dict) and (text := response.get("Error", {}).get("Message")):
            return str(text)
    return str(getattr(error, "strerror", None) or error)


def _explain_denial(error: BaseException) -> str:
    """Why access is denied: services refuse requests with a time that is minutes off theirs."""
    answered = find_answer_time(error)
    seconds = 0.0 if answered is None else time.time() - answered
    if abs(seconds) < MAX_CLOCK_DIFFERENCE:
        return "access is denied: check the credentials and the permissions"
    direction = "ahead of" if seconds > 0 else "behind"
    return (
        f"access is denied: the clock of {platform.node() or 'this computer'} is "
        f"{abs(seconds) / 60:.0f} minutes {direction} that of the storage; set it"
    )


def find_answer_time(error: BaseException) -> float | None:
    """The time of the server's answer in seconds since 1970, by its clock; None where there is
    none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        headers = getattr(response, "headers", None) or getattr(one, "headers", None) or {}
        if isinstance(response, dict):  # of botocore
            headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        text = str(headers.get("date") or headers.get("Date") or "")
        with contextlib.suppress(TypeError, ValueError):  # none, or no date
            return parsedate_to_datetime(text).timestamp()
    return None


def is_missing_bucket(error: StorageError) -> bool:
    """Whether not only an object or folder does not exist."""
    return any(text in str(error) for text in MISSING.values())


def find_status(error: BaseException) -> int | None:
    """The status of the answer that an error of a library is about; None where there is none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):  # of botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            status = getattr(one, "status", None) or getattr(one, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _find_code(error: BaseException) -> str:
    """The code in an answer of S3 or Azure, or of `gcs_store`; empty where there is none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        if code := getattr(one, "error_code", None):
            return str(getattr(code, "value", code))
    is_named = isinstance(error, FileNotFoundError) and error.args in {(code,) for code in MISSING}
    return str(error.args[0]) if is_named else ""
