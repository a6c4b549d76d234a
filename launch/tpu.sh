#!/usr/bin/env bash
# Installs tfmr on every worker of a Cloud TPU, a single VM or a pod slice, and starts training.
#
#   launch/tpu.sh NAME ZONE CONFIG gs://BUCKET/RUN [--section.field VALUE ...]
#
# The workers clone tfmr from GIT_URL and check out GIT_REF. NAME is an existing TPU, created for example by
#   gcloud compute tpus tpu-vm create NAME --zone ZONE --accelerator-type v5litepod-256 --version v2-alpha-tpuv5-lite
# Running the same command again resumes the run. Every worker must be able to read the corpus, either through a
# download named in the config or from --data.dir on a disk that all workers mount.
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
    .venv/bin/pip install -q '.[train]' 'jax[tpu]' gcsfs"

# Every worker starts the same command. JAX finds the other workers through the TPU's metadata.
on_all_workers "cd tfmr && exec .venv/bin/python train.py $(printf '%q ' "$config" --workdir "$workdir" "$@")"
