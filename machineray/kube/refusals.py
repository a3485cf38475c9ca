"""What Kubernetes answers when it refuses, as our errors: what, where, why, and the way out."""

import json
import re
import ssl
from typing import Any

import urllib3
from urllib3 import exceptions

from machineray.errors import (
    AlreadyExistsError,
    ClusterError,
    ConfigurationError,
    MachineRayError,
    NotFoundError,
)
from machineray.kube.credentials import Access

_LONGEST = 700


class UnavailableError(ClusterError):
    """The API server is away or overloaded: this may pass by itself.

    `code` is its answer (429, 500 and above), None when there was none; `wait_seconds` is how long
    it asks us to wait, when it does.
    """

    code: int | None = None
    wait_seconds: float | None = None


class BadRequestError(ClusterError):
    """It makes no sense to the server, or not yet: the log of a container that has not started."""


class GoneError(ClusterError):
    """The server no longer has the version that we would go on from: list again (HTTP 410)."""


def unreachable(error: Exception, access: Access) -> MachineRayError:
    """An error for a request that got no answer."""
    where = f"{access.server} (context {access.context})"
    if isinstance(error, exceptions.ProxyError):
        return UnavailableError(f"{where}: the proxy refuses: {_line(error)}; check HTTPS_PROXY")
    if isinstance(error, exceptions.SSLError):
        return _untrusted(error, where)
    if isinstance(error, exceptions.NameResolutionError):
        return UnavailableError(
            f"{where}: its name cannot be resolved; check the network or the VPN, "
            "or choose another --context"
        )
    # urllib3 takes a refused connection for a kind of timeout.
    is_new = isinstance(error, exceptions.NewConnectionError)
    if isinstance(error, exceptions.TimeoutError) and not is_new:
        return UnavailableError(
            f"{where}: does not answer; check the network or the VPN, or choose another --context"
        )
    inner = error.args[-1] if error.args else error  # ("Connection aborted.", the real one)
    reason = getattr(inner, "strerror", None) or _line(inner)
    reason = "connection refused" if "refused" in reason else reason
    return UnavailableError(
        f"{where}: not reachable: {reason}; start the cluster, check the network, "
        "or choose another --context"
    )


def _untrusted(error: exceptions.SSLError, where: str) -> MachineRayError:
    inner = error.args[0] if error.args else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"{where}: its TLS certificate is not trusted: {inner.verify_message}; the kubeconfig "
            "is of an older or another cluster: fetch it again, or choose another --context"
        )
    # A server that dies during the handshake looks like this.
    if isinstance(inner, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "EOF" in str(inner):
        return UnavailableError(f"{where}: closes the connection; is the API server starting?")
    return ConfigurationError(
        f"{where}: TLS fails: {_line(inner)}; check the server's address and the certificates in "
        "the kubeconfig, or fetch it again"
    )


def refusal(
    answer: "urllib3.BaseHTTPResponse", body: bytes, access: Access, path: str
) -> MachineRayError:
    """An error for an answer of 400 and above."""
    status = status_of(body, answer.status)
    error = refused(status, access, path)
    if isinstance(error, UnavailableError):
        seconds = answer.headers.get("Retry-After", "")
        error.wait_seconds = float(seconds) if seconds.isdigit() else None
    return error


def status_of(body: bytes, code: int) -> dict[str, Any]:
    """The Status object of an answer; proxies and load balancers send other things."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("kind") != "Status":
        text = re.sub(r"<[^>]*>", " ", body.decode("utf-8", "replace"))
        found = {"message": text}
    return {**found, "code": code}


def refused(status: dict[str, Any], access: Access, path: str) -> MachineRayError:
    """An error for a Status object, of an answer or in a watch's stream."""
    code, reason = int(status.get("code") or 0), str(status.get("reason") or "")
    message = _line(status.get("message") or "no reason given")
    where = f"{access.server} (context {access.context})"
    if code == 400:
        return BadRequestError(f"{where}: {message}")
    if code == 401:
        return ConfigurationError(
            f"{where}: does not accept the login of user {access.user}, it may have expired: "
            "log in again and run the same command"
        )
    if code == 403:
        return ClusterError(_forbidden(message, access))
    if code == 404:
        return NotFoundError(_not_found(status, message, access, path))
    if code == 409 and reason == "AlreadyExists":
        return AlreadyExistsError(f"namespace {access.namespace}: {message}")
    if code == 410:
        return GoneError(f"{where}: {message}")
    if code == 422:
        return ClusterError(f"Kubernetes does not accept this: {_fields(status, message)}")
    if code == 429 or code >= 500:
        error = UnavailableError(
            f"{where}: answers {code} {reason}: {message}; run the same command again later"
        )
        error.code = code
        return error
    return ClusterError(f"{where}: answers {code} {reason}: {message}")


def _forbidden(message: str, access: Access) -> str:
    if "exceeded quota" in message or "failed quota" in message:
        return (
            f"namespace {access.namespace}: the quota does not allow it: {message}; wait until "
            "running work ends, ask for less, or have the quota raised"
        )
    if "violates PodSecurity" in message:
        return f"namespace {access.namespace}: Pod Security refuses the pod: {message}"
    if "being terminated" in message:
        return (
            f"namespace {access.namespace} is being deleted: wait until it is gone, then create it "
            "again (kubectl apply -k k8s/base)"
        )
    if re.search(r'User "[^"]*" cannot ', message):
        return (
            f"no permission: {message}; ask for the role mray-submitter, "
            "or see what is missing with mray doctor --cluster"
        )
    return f"namespace {access.namespace}: an admission rule of the cluster refuses: {message}"


def _not_found(status: dict[str, Any], message: str, access: Access, path: str) -> str:
    details = status.get("details") or {}
    if details.get("kind") == "namespaces":
        name = details.get("name") or access.namespace
        return (
            f"no namespace {name} in context {access.context}: create it "
            "(kubectl apply -k k8s/base), or choose another --namespace"
        )
    if not details.get("name"):
        return f"context {access.context}: this cluster does not serve {path}: {message}"
    return f"namespace {access.namespace}: {message}"


def _fields(status: dict[str, Any], message: str) -> str:
    causes = (status.get("details") or {}).get("causes") or ()
    told = [f"{cause.get('field')}: {cause.get('message')}" for cause in causes]
    return _line("; ".join(told)) if told else message


def _line(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + " …"
