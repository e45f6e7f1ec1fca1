#!/usr/bin/env bash
# What goes wrong on a cluster: right state, right words, and a way on or back.
#
#   tests/cluster/failures.sh [SEED]     as test.sh
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap finish EXIT
prepare_small

status() { helm list -n "$platform" --all -o json | sed -nE 's/.*"status":"([^"]+)".*/\1/p'; }
do_deploy() { # do_deploy TIMEOUT [KEY=VALUE…]: Valkey, which is up in seconds
    local timeout=$1 pair args=()
    shift
    for pair in "$@"; do args+=(--with "set.$pair"); done
    as operator inside "do" release.deploy --target cluster --yes --with "timeout=$timeout" \
        --with release=valkey --with "namespace=$platform" --with chart=valkey \
        --with values=platform:helm/valkey-values.yaml "${args[@]}"
}

# Who may do what.
deploy_as() {
    as "$1" inside "do" release.deploy --target cluster --yes --with release=valkey --with "namespace=$platform" \
        --with chart=valkey --with values=platform:helm/valkey-values.yaml
}
check "an account that may do nothing" exits 2 deploy_as nobody
check "… is told what it may not" said 'may not .*update leases in the namespace.*create secrets in the namespace'
check "an account that may only read" exits 2 deploy_as reader
check "… is told all that it lacks" said 'may not .*create leases in the namespace.*create secrets in the namespace'
check "… before anything is begun" test -z "$(status)"
login expired "$(admin create token -n "$platform" operator --duration=10m)x"
check "a login that is not accepted" exits 1 as expired inside "do" smoke --yes --target cluster --with "releases=$platform/valkey"
check "… is named" said 'does not accept the login'
check "a context that is not there" exits 1 as operator inside "do" smoke --yes --target cluster --set context=elsewhere \
    --with "releases=$platform/valkey"
check "… is named" said 'no context .elsewhere.'
mkdir "$scratch/old"
printf '#!/bin/sh\necho v3.9.0+gabc\n' >"$scratch/old/helm"
chmod +x "$scratch/old/helm"
with_helm() { PATH=$1 do_deploy 1m; }
check "a helm that is too old" exits 1 with_helm "$scratch/old:$PATH"
check "… is named" said 'Helm 3\.9; 3\.13 or a later 3 is needed'
check "nothing was deployed so far" test -z "$(status)"

# What does not come up.
check "an image that cannot be pulled" exits 1 do_deploy 15s image.tag=none
check "… is named" said 'valkey-primary-0.*(ErrImagePull|ImagePullBackOff)'
check "… and the next deploy mends it" do_deploy 2m
uninstall() {
    timeout 60 helm uninstall valkey -n "$platform" >/dev/null 2>&1 || true
    admin delete pod -n "$platform" -l app.kubernetes.io/instance=valkey --wait=true --timeout=50s >/dev/null 2>&1 || true
    admin delete pvc -n "$platform" --all --wait=false >/dev/null 2>&1 || true
}
uninstall
check "a volume that nobody provides" exits 1 do_deploy 15s primary.persistence.storageClass=nobody
check "… is named" said 'volume claim .valkey-data-valkey-primary-0. is Pending'
uninstall
admin create quota -n "$platform" none --hard=pods=0 >/dev/null
check "a quota that is used up" exits 1 do_deploy 15s
check "… is named" said 'exceeded quota'
admin delete quota -n "$platform" none >/dev/null
uninstall
admin label namespace "$platform" pod-security.kubernetes.io/enforce=restricted >/dev/null
check "an admission that refuses the pod" exits 1 do_deploy 15s
check "… is named" said 'violates PodSecurity'
admin label namespace "$platform" pod-security.kubernetes.io/enforce- >/dev/null
uninstall

# Helm killed in the middle, as a pending release.
check "valkey is deployed" do_deploy 2m
check "a larger volume claim" exits 1 do_deploy 2m primary.persistence.size=2Gi
check "… is named by the preview" said 'blocked .*valkey: .spec\.volumeClaimTemplates. of StatefulSet/valkey-primary'
check "… with the way" said 'kubectl delete statefulset valkey-primary .*--cascade=orphan'
check "… before anything is changed" test "$(revision)" = 1
pending() { # as a killed helm leaves it: the newest revision says pending-upgrade
    local secret=sh.helm.release.v1.valkey.v$1 data
    data=$(admin get secret -n "$platform" "$secret" -o jsonpath='{.data.release}' | base64 -d | base64 -d | gzip -d |
        sed 's/"status":"deployed"/"status":"pending-upgrade"/' | gzip | base64 -w0 | base64 -w0)
    admin patch secret -n "$platform" "$secret" --type=merge \
        -p "{\"metadata\":{\"labels\":{\"status\":\"pending-upgrade\"}},\"data\":{\"release\":\"$data\"}}" >/dev/null
}
check "another revision" do_deploy 2m primary.configuration="maxclients 100"
pending 2
check "a release in pending-upgrade is repaired" do_deploy 2m primary.configuration="maxclients 100"
check "… and is deployed" test "$(status)" = deployed

# The incident: a key that the pooler needs is not in the Secret.
admin create secret generic -n "$platform" own-pg --from-literal=password=a --from-literal=repmgr-password=b >/dev/null
admin create secret generic -n "$platform" own-pool --from-literal=admin-password=c >/dev/null
timeout 60 helm upgrade --install postgresql-ha "$top/tests/charts/postgresql-ha" -n "$platform" \
    --set postgresql.existingSecret=own-pg,pgpool.existingSecret=own-pool,postgresql.replicaCount=1 >/dev/null
check "a password that the pooler lacks" exits 1 as operator inside "do" ha.check --yes --target cluster \
    --with release=postgresql-ha --with "namespace=$platform"
check "… is named" said 'Secret .*/own-pool. key .sr-check-password. is not there'
check "a failover test breaks nothing then" exits 1 as operator inside "do" ha.failover --target cluster --yes \
    --with release=postgresql-ha --with "namespace=$platform" --with fault=pod-delete
check "… and says why" said 'not whole, so nothing was broken.*'

# Without the engine.
timeout 60 helm uninstall valkey -n "$platform" >/dev/null
by_make() { EXAMPLE=${2:-} SOPS_AGE_KEY_FILE=$top/tests/helm/example-age.txt NAMESPACE=$platform CHART=$top/tests/charts/valkey quietly make -C "$top" "$1"; }
check "make valkey-deploy refuses the example's passwords" exits 2 by_make valkey-deploy
check "… in words" said 'whose key everybody has'
check "make valkey-deploy, for a trial" by_make valkey-deploy 1
check "… deploys the values of helm/" test "$(helm get values valkey -n "$platform" -o json | grep -c '"architecture":"standalone"')" = 1
check "make valkey-status" by_make valkey-status
check "… shows the workload" said 'statefulset.*valkey-primary'
