# shellcheck shell=bash
# What the tests on a cluster share: a cluster, two namespaces of their own in it, a repository with
# a target, and accounts with exactly the rights of helm/rbac.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)

# The cluster: one that is named, else the test cluster beside this repository.
shared=$(cd "$top/.." && pwd)/shared/cluster
if [ -n "${WORKPLAN_TEST_KUBECONFIG:-}" ]; then
    KUBECONFIG=$WORKPLAN_TEST_KUBECONFIG
elif [ -x "$shared/up" ] && [ "$(id -u)" = 0 ]; then
    began=$SECONDS
    if ! KUBECONFIG=$(timeout "${WORKPLAN_CLUSTER_UP:-1500}" "$shared/up" 2>/tmp/workplan-cluster-up.log); then
        tail -n 20 /tmp/workplan-cluster-up.log
        printf 'FAIL  the test cluster did not come up\n0 passed, 1 failed\n'
        exit 1
    fi
    PATH=${WORKPLAN_CLUSTER_CACHE:-/var/cache/workplan-cluster}/bin:$PATH
    printf '      the cluster was up after %s s\n' "$((SECONDS - began))"
else
    printf '\n!!!!  SKIPPED: there is no cluster, or only root could start it; WORKPLAN_TEST_KUBECONFIG names one to test on\n\n'
    exit 0
fi
export KUBECONFIG
for program in kubectl helm; do
    if ! command -v "$program" >/dev/null; then
        printf '\n!!!!  SKIPPED: there is no %s\n\n' "$program"
        exit 0
    fi
done
# shellcheck source=../lab/lib.sh
. "$here/../lab/lib.sh"

apps=wp-test-$seed-apps platform=wp-test-$seed-platform
repo=$scratch/repo
admin() { timeout 60 kubectl --kubeconfig "$KUBECONFIG" "$@"; }

# An account that is bound to roles of helm/rbac, and a kubeconfig with its token.
account() { # account NAME ROLE…
    local name=$1 role namespace
    shift
    admin create serviceaccount -n "$platform" "$name" >/dev/null
    for namespace in "$apps" "$platform"; do
        for role in "$@"; do
            admin create rolebinding -n "$namespace" "$name-$role" --role="$role" \
                --serviceaccount="$platform:$name" >/dev/null
        done
    done
    admin create clusterrolebinding "wp-test-$seed-$name" --clusterrole=workplan-target \
        --serviceaccount="$platform:$name" >/dev/null
    login "$name" "$(admin create token -n "$platform" "$name" --duration=2h)"
}
login() { # login NAME TOKEN: a kubeconfig that has the token and nothing else
    local file=$scratch/$1.conf
    (umask 077; admin config view --raw --minify --flatten >"$file")
    kubectl --kubeconfig "$file" config set-credentials "$1" --token="$2" >/dev/null
    kubectl --kubeconfig "$file" config set-context --current --user="$1" >/dev/null
}
# All that is in the two namespaces, with revisions; leases and events are not of the world.
versions() {
    local kind
    for kind in secrets configmaps services statefulsets deployments replicasets pods \
        persistentvolumeclaims serviceaccounts poddisruptionbudgets; do
        for namespace in "$apps" "$platform"; do
            admin get "$kind" -n "$namespace" -o jsonpath='{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}'
        done
    done | sort
}
revision() { helm list -n "$platform" -o json --all | sed -nE 's/.*"revision":"([0-9]+)".*/\1/p'; }
# What carries the release's label, but for its volumes.
left() { admin get all,configmaps,secrets,pdb -n "$platform" -l app.kubernetes.io/instance=postgresql-ha -o name; }
pods() { admin get pods -n "$platform" -o jsonpath='{range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }

# Namespaces, accounts and a repository with a target.
ground() {
    local namespace
    for namespace in "$apps" "$platform"; do
        admin create namespace "$namespace" >/dev/null
        admin apply -n "$namespace" -f "$top/helm/rbac/reader.yaml" -f "$top/helm/rbac/operator.yaml" >/dev/null
    done
    account nobody
    account reader workplan-reader
    account operator workplan-reader workplan-operator
    mkdir -p "$repo/helm" "$repo/targets" "$repo/plans" "$repo/workplans" "$scratch/charts/gitea/charts"
    age-keygen -o "$scratch/age.txt" 2>/dev/null
    chmod 0600 "$scratch/age.txt"
    cat >"$repo/.sops.yaml" <<X
creation_rules:
  - path_regex: \.sops\.yaml$
    encrypted_regex: ^(.*[pP]assword|passwords)$
    age: $(age-keygen -y "$scratch/age.txt")
X
    cat >"$repo/targets/cluster.yaml" <<X
kind: kubernetes
namespaces: [$apps, $platform]
repos: {platform: .}
kubernetes:
  charts: {postgresql-ha: $top/tests/charts/postgresql-ha, valkey: $top/tests/charts/valkey}
sops: {age_key_file: $scratch/age.txt}
X
}
keep() {
    git -C "$repo" init -q
    git -C "$repo" add -A
    git -C "$repo" -c user.name=t -c user.email=t@example.org commit -qm "A repository"
}
# For single steps: no release is there.
prepare_small() {
    ground
    cat >"$repo/helm/valkey-values.yaml" <<X
image: {repository: registry.local/valkey, tag: "9"}
architecture: standalone
auth: {password: not secret here}
primary: {persistence: {size: 1Gi}}
X
    keep
}
# For the workplan: what runs today is a subchart whose passwords the chart made up.
prepare() {
    ground
    cp "$here/workplan.md" "$repo/workplans/CLUSTER-WP-0001.md"
    sed -e "s/APPS/$apps/g" -e "s/PLATFORM/$platform/g" "$here/plan.yaml" >"$repo/plans/CLUSTER-WP-0001.yaml"
    cp "$top/helm/postgresql-ha-values.yaml" "$repo/helm/"
    # The images of the tests, over those of the shipped values; less space than they want.
    cat >"$repo/helm/images.yaml" <<X
postgresql: {image: {repository: registry.local/pg, tag: "15"}}
pgpool: {image: {repository: registry.local/pg, tag: "15"}}
persistence: {size: 1Gi}
X
    keep
    cp -r "$top/tests/charts/old-gitea/." "$scratch/charts/gitea/"
    cp -r "$top/tests/charts/postgresql-ha" "$scratch/charts/gitea/charts/"
    helm upgrade --install gitea "$scratch/charts/gitea" -n "$apps" >/dev/null
    export GITEA_PASSWORD='gitea:s"pass'
    admin rollout status -n "$apps" statefulset/gitea-postgresql-ha-postgresql --timeout=55s >/dev/null
    admin rollout status -n "$apps" deployment/gitea-postgresql-ha-pgpool --timeout=55s >/dev/null
}
# As an account: as reader COMMAND…
as() { local who=$1; shift; KUBECONFIG=$scratch/$who.conf "$@"; }

finish() {
    local status=$? name
    if [ -n "$engine" ]; then killed; fi
    for name in nobody reader operator; do
        admin delete clusterrolebinding "wp-test-$seed-$name" --ignore-not-found >/dev/null 2>&1 || true
    done
    timeout 90 kubectl --kubeconfig "$KUBECONFIG" delete namespace "$apps" "$platform" --ignore-not-found >/dev/null 2>&1 ||
        printf 'FAIL  the namespaces %s and %s could not be taken away\n' "$apps" "$platform"
    rm -rf "$scratch"
    if [ -z "${WORKPLAN_TEST_KUBECONFIG:-}" ] && [ -z "${WORKPLAN_CLUSTER_STAYS:-}" ]; then
        timeout 60 "$shared/down" >/dev/null 2>&1 || true
    fi
    printf '%d passed, %d failed (seed %s)\n' "$passed" "$failed" "$seed"
    if [ "$status" -ne 0 ]; then exit "$status"; fi
    [ "$failed" -eq 0 ] || exit 1
}
