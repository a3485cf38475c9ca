#!/bin/sh
# Take out of the packages installed so far what no image uses.
set -eu
site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# keep DIR NAME...: of DIR's subfolders, these alone.
keep() {
    parent=$1
    shift
    [ -d "$parent" ] || return 0
    for folder in "$parent"/*/; do
        name=$(basename "$folder")
        case " $* " in *" $name "*) ;; *) rm -r "$folder" ;; esac
    done
}
# botocore describes 400 services of AWS (28 MB): a bucket is S3, whoever opens it logs in by STS or SSO.
keep "$site/botocore/data" s3 sts signin sso sso-oidc
# albumentations imports scipy.special alone (which calls linalg): 56 MB less.
keep "$site/scipy" __pycache__ _lib special linalg
