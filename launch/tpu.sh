#!/usr/bin/env bash
# Installs tfmr on every worker of a Cloud TPU (a single VM or a pod slice) and trains there.
#
#   launch/tpu.sh NAME ZONE CONFIG gs://BUCKET/RUN [--section.field VALUE ...]
#
# GIT_URL says where the workers clone tfmr from, GIT_REF which commit of it. NAME is a TPU that exists, for example of
#   gcloud compute tpus tpu-vm create NAME --zone ZONE --accelerator-type v5litepod-256 --version v2-alpha-tpuv5-lite
# The same command, given again, continues the run. The corpus must be readable by every worker: by a download that
# the config names, or by --data.dir on a disk that all of them mount.
set -euo pipefail

if [ $# -lt 4 ] || [ -z "${GIT_URL:-}" ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
name=$1 zone=$2 config=$3 workdir=$4
shift 4

on_all_workers() {
    gcloud compute tpus tpu-vm ssh "$name" --zone "$zone" --worker=all --command "$1"
}

on_all_workers "
    set -e
    test -d tfmr || git clone -q $(printf %q "$GIT_URL") tfmr
    cd tfmr && git fetch -q && git checkout -q $(printf %q "${GIT_REF:-origin/HEAD}")
    test -d .venv || python3 -m venv .venv
    .venv/bin/pip install -q . 'jax[tpu]' gcsfs"

# Every worker starts the same command; jax finds the others by the TPU's own metadata.
on_all_workers "cd tfmr && exec .venv/bin/python train.py $(printf '%q ' "$config" --workdir "$workdir" "$@")"
