"""What commands load that ask a cluster and a bucket; imported by the server that forks them."""

import yaml

import jobs.pipeline
import machineray.cli
import machineray.cluster_doctor
import machineray.drive
import machineray.kube.registry
import machineray.submission
import machineray.versions
from machineray.kube.official import official_client
from machineray.storage import S3Store

__all__ = ["jobs", "machineray", "yaml"]

official_client()
assert S3Store("bucket", "").client  # botocore's descriptions of S3; nothing is asked
