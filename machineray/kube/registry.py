"""Which digest a tag means: Jobs name their images by digest, so that a run is made by one thing.

The registry API of the OCI distribution specification: a HEAD of the manifest, with the token that
the registry's answer asks for, and the log-in of `docker login` or `podman login`.
"""

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machineray.errors import ClusterError, NotFoundError, UsageError

MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_LOCAL = re.compile(r"localhost|127\.\d+\.\d+\.\d+|[^.]+\.local(host)?")
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Reference:
    """host/repository:tag or host/repository@sha256:…"""

    host: str
    repository: str
    tag: str
    digest: str | None = None

    @property
    def pinned(self) -> str:
        """The name by digest."""
        return f"{self.host}/{self.repository}@{self.digest}"


def parsed_reference(text: str) -> Reference:
    """'ghcr.io/lab/machineray-train:1' in its parts; UsageError when it is none."""
    match = re.fullmatch(
        r"(?P<host>[^/\s]+)/(?P<repository>[a-z0-9][-a-z0-9._/]*)"
        r"(?::(?P<tag>[\w][-\w.]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
        text,
    )
    if not match or not re.search(r"[.:]|^localhost$", match["host"]):
        raise UsageError(
            f"{text}: not an image's name; write registry/machineray-STAGE:TAG, the registry "
            "with its host, such as ghcr.io/lab or localhost:5001"
        )
    return Reference(match["host"], match["repository"], match["tag"] or "latest", match["digest"])


def pinned(image: str) -> str:
    """The image by digest: host/repository@sha256:….

    NotFoundError when the registry has no such image, ClusterError when it does not answer.
    """
    reference = parsed_reference(image)
    if reference.digest:
        return reference.pinned
    answer = _manifest(reference)
    digest = answer.headers.get("Docker-Content-Digest", "")
    if answer.status == 404:
        raise NotFoundError(
            f"{image}: no such image in its registry; build and push it: make images push "
            f"REGISTRY={reference.host}/… TAG={reference.tag}"
        )
    if answer.status in (401, 403):
        raise ClusterError(f"{image}: the registry wants a log-in: docker login {reference.host}")
    if answer.status != 200 or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ClusterError(f"{image}: the registry answers {answer.status} and tells no digest")
    return Reference(reference.host, reference.repository, reference.tag, digest).pinned


def _manifest(reference: Reference) -> Any:
    """The answer to HEAD of the manifest, after the log-in that it asks for."""
    # Without TLS only what lies on this machine, as docker and podman do.
    scheme = "http" if _LOCAL.fullmatch(reference.host.partition(":")[0]) else "https"
    host = "registry-1.docker.io" if reference.host == "docker.io" else reference.host
    url = f"{scheme}://{host}/v2/{reference.repository}/manifests/{reference.tag}"
    answer = _ask("HEAD", url, {"Accept": MANIFESTS})
    challenge = answer.headers.get("WWW-Authenticate", "")
    if answer.status != 401 or not challenge:
        return answer
    login = _login(reference.host)
    basic = {"Authorization": f"Basic {login}"} if login else {}
    if challenge.lower().startswith("bearer"):
        token = _token(dict(re.findall(r'(\w+)="([^"]*)"', challenge)), basic)
        return _ask("HEAD", url, {"Accept": MANIFESTS, "Authorization": f"Bearer {token}"})
    return _ask("HEAD", url, {"Accept": MANIFESTS, **basic})


def _token(challenge: Mapping[str, str], headers: Mapping[str, str]) -> str:
    from urllib.parse import urlencode

    realm = challenge.get("realm", "")
    if not realm.startswith("https://") and not _LOCAL.match(realm.partition("://")[2]):
        raise ClusterError(f"the registry wants a log-in over an open line ({realm}); refused")
    query = urlencode({k: v for k, v in challenge.items() if k in ("service", "scope")})
    answer = _ask("GET", f"{realm}?{query}", headers)
    try:
        told = json.loads(answer.data)
        return str(told.get("token") or told.get("access_token") or "")
    except (ValueError, AttributeError):
        return ""


def _ask(method: str, url: str, headers: Mapping[str, str]) -> Any:
    import urllib3

    pool = urllib3.PoolManager()
    try:
        return pool.request(method, url, headers=dict(headers), timeout=_TIMEOUT_SECONDS, retries=2)
    except urllib3.exceptions.HTTPError as error:
        host = url.split("/")[2]
        raise ClusterError(
            f"{host}: the registry does not answer ({_reason(error)}); where only the cluster can "
            "reach it, name the images by digest ([profiles.NAME.images] in mray.toml)"
        ) from error


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return type(reason).__name__


def _login(host: str) -> str | None:
    """What `docker login` or `podman login` kept for the registry, base64 of user:password."""
    docker = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"
    podman = Path(os.environ.get("XDG_RUNTIME_DIR", "/run")) / "containers" / "auth.json"
    for path in (docker, podman):
        try:
            entry = json.loads(path.read_text()).get("auths", {}).get(host, {})
            auth = entry.get("auth")
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(auth, str) and base64.b64decode(auth, validate=False):
            return auth
    return None
