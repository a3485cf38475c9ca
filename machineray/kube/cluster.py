"""Kubernetes as the rest of the house sees it: objects by kind and name, as plain dicts.

    cluster = open_cluster()                       # the kubeconfig's context, or the pod's own
    cluster.create(manifest)                       # AlreadyExistsError when the name is taken
    for jobs in cluster.watch("Job", selector="app.kubernetes.io/name=machineray"):
        ...                                        # {name: object}, again after every change

A manifest is the dict that one would write in YAML. Every error is one of errors.py.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from machineray.errors import AlreadyExistsError, NotFoundError, WaitTimeoutError
from machineray.kube.connection import JSON, Connection, Json, Query, connect
from machineray.kube.watching import OUTAGE_SECONDS, listed, watched

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Kind:
    """Where the API server keeps a kind of object."""

    api: str
    plural: str
    namespaced: bool = True


KINDS = {
    "ConfigMap": Kind("v1", "configmaps"),
    "Event": Kind("v1", "events"),
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "Node": Kind("v1", "nodes", namespaced=False),
    "Pod": Kind("v1", "pods"),
    "ResourceQuota": Kind("v1", "resourcequotas"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "Job": Kind("batch/v1", "jobs"),
    "Role": Kind("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Kind("rbac.authorization.k8s.io/v1", "rolebindings"),
    "PriorityClass": Kind("scheduling.k8s.io/v1", "priorityclasses", namespaced=False),
    # Kueue from 0.15 on; v1beta1 is no longer served by the newest.
    "ClusterQueue": Kind("kueue.x-k8s.io/v1beta2", "clusterqueues", namespaced=False),
    "LocalQueue": Kind("kueue.x-k8s.io/v1beta2", "localqueues"),
    "Workload": Kind("kueue.x-k8s.io/v1beta2", "workloads"),
}


def open_cluster(
    context: str | None = None,
    namespace: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> "Cluster":
    """The cluster of a context; see connection.connect. No server is asked yet."""
    return Cluster(connect(context, namespace, note))


class Cluster:
    """One namespace of one cluster, and what stands beside namespaces."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @property
    def context(self) -> str:
        """The context's name in the kubeconfig."""
        return self.connection.access.context

    @property
    def namespace(self) -> str:
        """Where objects are meant to be when they do not say it."""
        return self.connection.access.namespace

    @property
    def server(self) -> str:
        """The API server's address."""
        return self.connection.access.server

    def path(self, kind: str, name: str = "", namespace: str | None = None) -> str:
        """Where the API has a kind's objects, or one of them."""
        place = KINDS[kind]
        path = f"/api/{place.api}" if place.api == "v1" else f"/apis/{place.api}"
        if place.namespaced:
            path += f"/namespaces/{quote(namespace or self.namespace, safe='')}"
        return f"{path}/{place.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def version(self) -> str:
        """The server's version, such as v1.34.4."""
        return str(self.connection.request("GET", "/version").json()["gitVersion"])

    def server_time(self) -> datetime:
        """The server's clock, to the second."""
        headers = self.connection.request("GET", "/version").headers
        date = headers.get("Date")
        return parsedate_to_datetime(date) if date else datetime.now(UTC)

    def create(self, manifest: Json, *, dry_run: bool = False) -> Json:
        """Create an object, or with dry_run let the server check it with all its rules.

        Raises AlreadyExistsError when the name is taken, NotFoundError when the namespace is
        missing, ClusterError when the server refuses.
        """
        kind = str(manifest["kind"])
        # Names this very call in the object: a POST whose answer was lost is sent again, and then
        # meets what it created.
        manager = f"mray-{secrets.token_hex(6)}"
        query = {"fieldManager": manager}
        if dry_run:
            query["dryRun"] = "All"
        path = self.path(kind, namespace=manifest["metadata"].get("namespace"))
        try:
            return self.connection.request("POST", path, query, manifest).json()
        except AlreadyExistsError:
            found = self._get(f"{path}/{quote(manifest['metadata']['name'])}")
            if found is not None and _created_by(found, manager):
                return found
            raise

    def get(self, kind: str, name: str) -> Json | None:
        """An object, or None when there is none of that name."""
        return self._get(self.path(kind, name))

    def is_there(self, kind: str, name: str) -> bool | None:
        """Whether there is such an object; None where one may not ask.

        Its metadata alone is fetched: no value of a Secret leaves the server.
        """
        place = KINDS[kind]
        if not self.can("get", place.plural, group=place.api.rpartition("/")[0]):
            return None
        return self._get(self.path(kind, name), accept=_METADATA) is not None

    def raw(self, path: str, **query: str | int | bool) -> Json | None:
        """What any path of the API answers; None when there is nothing there."""
        return self._get(path, query)

    def _get(self, path: str, query: Query | None = None, accept: str = JSON) -> Json | None:
        try:
            return self.connection.request("GET", path, query, accept=accept).json()
        except NotFoundError:
            return None

    def list(
        self,
        kind: str,
        *,
        selector: str = "",
        fields: str = "",
        limit: int | None = None,
    ) -> list[Json]:
        """Objects by label and field; `limit` are enough.

        NotFoundError when the cluster does not serve the kind. A missing namespace has no objects.
        """
        query = _selectors(selector, fields)
        return listed(self.connection, self.path(kind), query, _all_of_it, limit=limit)[0]

    def delete(self, kind: str, name: str, *, wait_seconds: float = 0) -> bool:
        """Delete an object and what it owns; False when there is none.

        It stays until all that it owns is gone. With wait_seconds: return when it is gone, or raise
        WaitTimeoutError.
        """
        path = self.path(kind, name)
        options = {"propagationPolicy": "Foreground"}  # the default orphans a Job's pods
        try:
            answer = self.connection.request("DELETE", path, None, options).json()
        except NotFoundError:
            return False
        uid = (answer.get("metadata") or answer.get("details") or {}).get("uid")
        deadline = time.monotonic() + wait_seconds
        pause_seconds = 0.05
        while wait_seconds and (found := self._get(path)) and found["metadata"]["uid"] == uid:
            if time.monotonic() > deadline:
                raise WaitTimeoutError(
                    f"{kind.lower()}/{name}: not gone after {wait_seconds:g} s; it is being deleted"
                )
            time.sleep(pause_seconds)
            pause_seconds = min(1.0, pause_seconds * 1.5)
        return True

    def watch(
        self,
        kind: str,
        *,
        selector: str = "",
        fields: str = "",
        idle_seconds: float = 15.0,
        outage_seconds: float = OUTAGE_SECONDS,
    ) -> Iterator[dict[str, Json]]:
        """All objects by name: at once, after every change, and unchanged after idle_seconds.

        Changes that come together are told together. While the API server is away the last state
        is told; after outage_seconds of that, ClusterError.
        """
        return watched(
            self.connection,
            self.path(kind),
            _selectors(selector, fields),
            _all_of_it,
            idle_seconds=idle_seconds,
            outage_seconds=outage_seconds,
        )

    def can(
        self,
        verb: str,
        resource: str,
        *,
        group: str = "",
        subresource: str = "",
        namespace: str | None = None,
    ) -> bool:
        """Whether whoever asks may do it: here, in another namespace, or ("") in all of them."""
        attributes = {
            "verb": verb,
            "resource": resource,
            "group": group,
            "subresource": subresource,
            "namespace": self.namespace if namespace is None else namespace,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self.connection.request("POST", path, None, review).json()["status"]["allowed"])


def _all_of_it(found: Json) -> Json:
    return found


def _selectors(selector: str, fields: str) -> dict[str, str]:
    named = {"labelSelector": selector, "fieldSelector": fields}
    return {name: value for name, value in named.items() if value}


def _created_by(found: Json, manager: str) -> bool:
    entries = found["metadata"].get("managedFields") or ()
    return any(entry.get("manager") == manager for entry in entries)
