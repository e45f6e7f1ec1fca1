#!/usr/bin/env bash
# Deploys a release of helm/ without the engine. The decrypted values go through a pipe and touch no disk.
#
#   tools/helm-deploy.sh deploy|status RELEASE VERSION     CHART and NAMESPACE override where from and to
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what=$1 release=$2 version=$3
namespace=${NAMESPACE:-platform}
chart=${CHART:-oci://registry-1.docker.io/bitnamicharts/$release}
sealed=helm/$release-values.sops.yaml

need() {
    command -v "$1" >/dev/null || { printf 'there is no %s on the PATH; %s\n' "$1" "$2" >&2; exit 1; }
}
case $what in
deploy)
    need sops 'it decrypts the values: https://github.com/getsops/sops'
    need helm 'version 3.13 or newer: https://helm.sh/docs/intro/install'
    example=$(sed -nE 's/^# public key: //p' tests/helm/example-age.txt)
    if grep -qF "$example" "$sealed" && [ -z "${EXAMPLE:-}" ]; then
        printf '%s is the example, whose key everybody has: put your own recipient into .sops.yaml and make\n' "$sealed" >&2
        printf 'your own passwords with sops edit, or set EXAMPLE=1 to deploy the example for a trial\n' >&2
        exit 1
    fi
    # Once before Helm is called: it would take nothing for no values.
    sops decrypt "$sealed" >/dev/null
    sops decrypt "$sealed" |
        helm upgrade --install "$release" "$chart" --version "$version" --namespace "$namespace" \
            --create-namespace -f "helm/$release-values.yaml" -f -
    ;;
status)
    need kubectl 'https://kubernetes.io/docs/tasks/tools'
    kubectl get statefulsets,deployments,pods -n "$namespace" -l "app.kubernetes.io/instance=$release"
    ;;
*)
    printf 'deploy or status, not %s\n' "$what" >&2
    exit 2
    ;;
esac
