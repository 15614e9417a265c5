"""Request errors, in the format of OpenAI's API."""

from __future__ import annotations

from typing import Any

from thinkgraph.models.errors import ModelBusy, PromptTooLong, ThinkgraphError

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "service_unavailable",
}
"""Types of errors by status; the others are the request's, or from 500 on the server's."""


class RequestError(ThinkgraphError):
    """A request that can't be answered.

    Attributes:
        status: the HTTP status.
        param: the invalid field of the request, if any.
        code: OpenAI's error code, if there is one.
        retry_s: seconds after which to retry, if that helps.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        retry_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_s = status, param, code, retry_s


def as_request_error(error: Exception) -> RequestError:
    """Convert an error for the client; of unexpected errors, it only learns the type."""
    match error:
        case RequestError():
            return error
        case PromptTooLong():
            return RequestError(str(error), param="messages", code="context_length_exceeded")
        case ModelBusy():
            said, code = str(error), "rate_limit_exceeded"
            return RequestError(said, status=429, code=code, retry_s=error.retry_s)
        case ThinkgraphError():
            return RequestError(str(error))
        case _:
            return RequestError(f"the server failed: {type(error).__name__}", status=500)


def body(error: RequestError) -> dict[str, Any]:
    """The JSON body of an error."""
    usual = "invalid_request_error" if error.status < 500 else "server_error"
    kind = TYPES.get(error.status, usual)
    told = {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    return {"error": told}


def headers(error: RequestError) -> dict[str, str]:
    """The response headers of an error."""
    found = {}
    if error.retry_s is not None:
        found["Retry-After"] = str(max(1, round(error.retry_s)))
    if error.status == 401:
        found["WWW-Authenticate"] = "Bearer"
    return found
