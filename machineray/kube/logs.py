"""What the pods of a Job say: every line once, however often the connection breaks.

    for line in job_lines(cluster, "mray-klee-train-1a2b3c", follow=True):
        print(line.index, line.text)

A retry of an index is another pod; where the cluster removed a pod, its log is gone with it.
"""

import itertools
import time
from collections.abc import Iterator
from datetime import timedelta

from machineray.errors import NotFoundError
from machineray.kube.cluster import Cluster
from machineray.kube.connection import PATIENCE_SECONDS, backoff_seconds
from machineray.kube.following import followed
from machineray.kube.podlog import LogLine, PodLog, PodState, pod_state
from machineray.kube.refusals import BadRequestError, UnavailableError
from machineray.kube.watching import listed

_LOST_SECONDS = 15.0


def job_lines(
    cluster: Cluster,
    job_name: str,
    *,
    index: int | None = None,
    follow: bool = False,
    previous: bool = False,
    since_seconds: float | None = None,
    failed_only: bool = False,
) -> Iterator[LogLine]:
    """The lines of a Job's pods: by index, then by attempt; with follow as they come, to the end.

    `index`: of one index. `previous`: of all attempts but the last of each index. `failed_only`: of
    attempts that failed. `since_seconds`: no older ones. With `follow` the pods interleave, and it
    ends when the Job has ended and all is read.

    Raises NotFoundError when there is no such Job, ClusterError when the server stays away.
    """
    if cluster.get("Job", job_name) is None:
        raise NotFoundError(
            f"no Job {job_name} in namespace {cluster.namespace} (context {cluster.context}): it "
            "was not submitted there, or Kubernetes has removed it, and its logs with it"
        )
    since = ""
    if since_seconds is not None:  # by the server's clock: ours may be wrong
        start = cluster.server_time() - timedelta(seconds=since_seconds)
        since = f"{start:%Y-%m-%dT%H:%M:%S}"
    selector = f"batch.kubernetes.io/job-name={job_name}"
    if index is not None:
        selector += f",batch.kubernetes.io/job-completion-index={index}"
    if follow and not previous:
        yield from followed(cluster, job_name, selector, since, failed_only=failed_only)
        return
    pods = listed(cluster.connection, cluster.path("Pod"), {"labelSelector": selector}, pod_state)[
        0
    ]
    for pod in _chosen(pods, previous=previous, failed_only=failed_only):
        yield from _whole(PodLog(cluster, pod, since))


def _chosen(pods: list[PodState], *, previous: bool, failed_only: bool) -> list[PodState]:
    ordered = sorted(pods, key=PodState.order)
    if previous:
        last = {pod.index: pod.name for pod in ordered}
        ordered = [pod for pod in ordered if last[pod.index] != pod.name]
    return [pod for pod in ordered if pod.phase == "Failed" or not failed_only]


def _whole(log: PodLog) -> Iterator[LogLine]:
    """All that a pod has said so far; nothing when it has not begun, or is gone."""
    heard = time.monotonic()
    for tries in itertools.count(1):
        try:
            for line in log.read():
                yield line
                heard = time.monotonic()
            if log.is_whole or log.is_settled or not log.pod.is_ended:
                return
        except (BadRequestError, NotFoundError):
            return
        except UnavailableError as error:
            silent_seconds = time.monotonic() - heard
            if error.code is None and silent_seconds > PATIENCE_SECONDS:
                raise
            # The server is there, and its way to the kubelet is not: one node, not the cluster.
            if error.code is not None and silent_seconds > _LOST_SECONDS:
                yield LogLine(log.pod.index, log.pod.name, "", f"cannot be read: {error}")
                return
            time.sleep(backoff_seconds(tries))
