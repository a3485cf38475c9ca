#!/bin/sh
# Take out what no image uses: botocore describes 400 services of AWS (28 MB), a bucket is S3, and
# whoever opens it logs in by STS or SSO.
set -eu
site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
find "$site/botocore/data" -mindepth 1 -maxdepth 1 -type d \
    ! -name s3 ! -name sts ! -name signin ! -name 'sso*' -exec rm -rf {} +
