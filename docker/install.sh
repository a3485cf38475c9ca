#!/bin/sh
# install.sh LIST [pip's options]: install a list of requirements, and write down what is there now.
set -eu
lists=/usr/share/machineray
list=$1
shift
pip install --root-user-action ignore --disable-pip-version-check --progress-bar off \
    --cache-dir /var/cache/pip "$@" -r "$lists/$list.txt"
# The packages' own tests are a tenth of the image.
site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
find "$site" -type d -name tests -prune -exec rm -rf {} +
pip freeze --all >"$lists/packages.txt"
