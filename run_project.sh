#!/usr/bin/env bash
# Pipeboard on Kubernetes: from nothing to running, and back. ./run_project.sh --help
set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The environment wins over .env; tests name another file.
ENV_FILE=${PIPEBOARD_ENV_FILE:-$ROOT/.env}

# Exit codes as everywhere in this project.
readonly USAGE=64 UNAVAILABLE=69 CONFIGURATION=78
# Everything of a release but its Jobs, which run once and are deleted later.
readonly LASTING='pipeboard/phase notin (migrate,provision,smoke)'
# On everything that this script applies, and on nothing else.
readonly OWNED=app.kubernetes.io/managed-by=run_project
# What is deleted when a release no longer has it: nothing that holds data.
readonly PRUNED=configmaps,cronjobs,deployments,horizontalpodautoscalers,networkpolicies,\
poddisruptionbudgets,resourcequotas,rolebindings,roles,serviceaccounts,services,statefulsets
verb=up env=minikube tag="" timeout=600 dry_run="" delete="" assume_yes=""
# Set once the cluster has been touched: from then on a failure is rolled back.
changed=""

main() {
    read_words "$@"
    cd "$ROOT"
    work=$ROOT/.pipeboard/deploy/$env
    mkdir -p "$work"
    scratch=$(mktemp -d)
    trap on_exit EXIT
    trap 'exit 130' INT TERM
    case $verb in
        up) up ;;
        deploy) deploy ;;
        provision)
            connect
            use_release
            provision
            ;;
        status) status ;;
        forward)
            connect
            use_release
            forward
            ;;
        rollback) rollback ;;
        down) down ;;
    esac
}

usage() {
    cat <<'EOF'
usage: ./run_project.sh [up|deploy|provision|status|forward|rollback|down] [options]

  up         start minikube if need be, deploy, forward the ports (without a word: this)
  deploy     build, suspend, migrate, apply, wait, provision, smoke, unsuspend; on a failure,
             go back to the release before
  provision  only what is set up through other programs' APIs
  status     what runs, and which release
  forward    make Grafana, Metabase, Prometheus and Prefect answer on this machine
  rollback   go back to the release before this one; the database stays as it is
  down       end the ports; minikube: stop it; elsewhere: suspend the schedule. Nothing is deleted

  --env NAME    a folder of k8s/overlays: minikube (default), minikube-prefect, prod, account-...
  --tag TAG     an image that exists, instead of building one from this checkout
  --timeout S   seconds that each wait may take (600)
  --dry-run     say what would be changed, and change nothing
  --delete      with down: delete the namespace with all its data (asks; --yes does not)

minikube* wants the kubectl context `minikube`; any other the one that PIPEBOARD_KUBE_CONTEXT names,
and an image name to push to in PIPEBOARD_IMAGE. Both may stand in .env. PIPEBOARD_PORT_SHIFT is added
to every port that is forwarded, where 3000 or 9090 is taken.
Exit codes: 0 done; 1 failed and rolled back; 64 usage; 69 cluster unavailable or busy, retry;
78 configuration.
EOF
}

read_words() {
    if [ $# -gt 0 ] && [[ $1 != -* ]]; then
        verb=$1
        shift
    fi
    while [ $# -gt 0 ]; do
        case $1 in
            --env | --tag | --timeout)
                [ $# -ge 2 ] || die $USAGE "$1 wants a value"
                printf -v "${1#--}" %s "$2"
                shift
                ;;
            --dry-run) dry_run=yes ;;
            --delete) delete=yes ;;
            --yes) assume_yes=yes ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) die $USAGE "$1 is not known; ./run_project.sh --help lists what is" ;;
        esac
        shift
    done
    case $verb in
        up | deploy | provision | status | forward | rollback | down) ;;
        *) die $USAGE "$verb is not known; ./run_project.sh --help lists what is" ;;
    esac
    [[ $timeout =~ ^[1-9][0-9]*$ ]] || die $USAGE "--timeout wants seconds, not $timeout"
    [[ $env =~ ^[a-z0-9-]+$ && -f $ROOT/k8s/overlays/$env/kustomization.yaml ]] \
        || die $USAGE "there is no k8s/overlays/$env; k8s/new-account.sh makes one for a company"
}

# --- Verbs -----------------------------------------------------------------------------------

up() {
    if on_minikube; then
        need minikube
        minikube status >/dev/null 2>&1 || change minikube start --cni=calico
    fi
    deploy
    forward
}

deploy() {
    connect
    preflight
    choose_image
    render
    if on_minikube; then read_secrets; fi
    if is_deployed; then
        say deploy "release $tag is deployed already; nothing was changed"
        return
    fi
    build
    [ -n "$dry_run" ] || changed=yes
    apply "what everything needs" '!pipeboard/phase'
    if on_minikube; then make_secrets; fi
    check_secrets
    suspend
    wait_for_runs
    apply_phase data
    wait_for_rollouts data
    run_jobs migrate
    apply_phase serve
    wait_for_rollouts serve
    provision
    run_jobs smoke
    prune
    # Here each CronJob gets the suspension that its manifest gives it, which for most is none.
    apply_phase schedule
    if on_account; then apply_accounts; fi
    record_release
    changed=""
    say deploy "release $tag runs"
}

provision() {
    if [ -z "$(objects Job provision)" ]; then
        say provision "nothing beyond the manifests"
    else
        run_jobs provision
    fi
}

status() {
    connect
    tag=$(release_field release tag)
    say release "${tag:-none}"
    if [ -n "$tag" ]; then
        use_release
        if is_as_applied; then
            say cluster "is as this release left it"
        else
            say cluster "differs from this release; deploy mends that"
        fi
    fi
    kube get cronjobs,statefulsets,deployments,jobs,pods
}

rollback() {
    connect
    require_release release-before "there is no release before this one in $namespace"
    tag=$(release_field release-before tag)
    checkout=$(release_field release-before commit)
    restore || die 1 "release $tag did not come up again; ./run_project.sh status --env $env"
    record_release
    say rollback "release $tag runs again; the database stays as it is"
}

down() {
    stop_forwarding
    if [ -n "$delete" ]; then
        connect
        confirm "delete namespace $namespace in context $context, with all its data?"
        change kubectl --context "$context" delete namespace "$namespace" --wait --timeout="${timeout}s"
    elif on_minikube; then
        need minikube
        change minikube stop
    else
        connect
        suspend
        say down "the schedule is suspended; everything else goes on"
    fi
}

# --- Before anything is touched --------------------------------------------------------------

# The right cluster, or none: what is in front of kubectl must be what --env means.
connect() {
    need kubectl
    if on_minikube; then
        context=minikube
    else
        context=$(setting PIPEBOARD_KUBE_CONTEXT)
        [ -n "$context" ] || die $CONFIGURATION \
            "PIPEBOARD_KUBE_CONTEXT is not set: it names the context that --env $env is meant for"
    fi
    local current
    current=$(kubectl config current-context 2>/dev/null) || current=none
    [ "$current" = "$context" ] || die $CONFIGURATION \
        "kubectl points at $current, and --env $env is for $context: kubectl config use-context $context"
    namespace=$(sed -n 's/^namespace: *//p' "k8s/overlays/$env/kustomization.yaml")
    kubectl --context "$context" version >/dev/null 2>&1 \
        || die $UNAVAILABLE "the cluster of context $context does not answer"
}

preflight() {
    [ -n "$tag" ] || need docker git
    on_minikube || [ -n "$(setting PIPEBOARD_IMAGE)" ] || die $CONFIGURATION \
        "PIPEBOARD_IMAGE is not set: it names the image in your registry, such as registry/team/pipeboard"
    on_minikube || return 0
    local name
    for name in PIPEDRIVE_API_TOKEN PIPEDRIVE_COMPANY_DOMAIN; do
        [ -n "$(setting $name)" ] || die $CONFIGURATION "$name is not set, neither here nor in $ENV_FILE"
    done
}

choose_image() {
    image=$(setting PIPEBOARD_IMAGE)
    if on_minikube; then image=pipeboard; fi
    given_tag=$tag
    if [ -z "$tag" ]; then
        name_checkout
        tag=$checkout
    elif git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
        name_checkout
        check_tag
    else
        checkout=unknown
    fi
}

name_checkout() {
    checkout=$(git rev-parse --short=12 HEAD)
    local dirt
    dirt=$(git status --porcelain --untracked-files=all)
    # What is not committed is part of the name, so that no two contents share one.
    [ -z "$dirt" ] || checkout+=-$({ git diff HEAD && echo "$dirt"; } | git hash-object --stdin | cut -c 1-8)
}

# Manifests come from this checkout, so an image of another commit would run with the wrong ones.
check_tag() {
    local name commit=""
    for name in "refs/tags/$tag" "refs/tags/v$tag" "${tag%-????????}"; do
        [ -n "$commit" ] || commit=$(git rev-parse --quiet --verify "$name^{commit}" 2>/dev/null) || commit=""
    done
    if [ -z "$commit" ]; then
        say tag "git does not know $tag; the manifests are those of this checkout, $checkout"
    elif [ "$commit" != "$(git rev-parse HEAD)" ]; then
        die $CONFIGURATION "image $tag is commit ${commit:0:12}, and the manifests here are of $checkout: \
git checkout ${commit:0:12}"
    fi
}

# The overlay with this image, and on minikube with the settings of .env.
render() {
    {
        echo "resources: [../../../k8s/overlays/$env]"
        echo "images: [{name: pipeboard, newName: '$image', newTag: '$tag'}]"
        echo "labels: [{pairs: {${OWNED/=/: }}}]"
        if on_minikube; then
            echo "configMapGenerator:"
            echo "  - {name: settings, namespace: $namespace, behavior: merge, envs: [settings.env],"
            echo "     options: {disableNameSuffixHash: true}}"
        fi
        # The flows that Prefect starts run in this image, too; `images` does not look into arguments.
        echo "patches:"
        echo "  - target: {kind: Deployment, name: prefect-worker}"
        echo '    patch: |-'
        echo "      - {op: replace, path: /spec/template/spec/initContainers/0/env/0/value, value: '$image:$tag'}"
    } >"$work/kustomization.yaml"
    local name value
    for name in PIPEDRIVE_COMPANY_DOMAIN PIPEDRIVE_API_URL PIPEDRIVE_START_DATE PIPEDRIVE_DAILY_TOKENS \
        PIPEDRIVE_DEFINITIONS_INTERVAL PIPEDRIVE_ARCHIVED_INTERVAL \
        PIPEBOARD_BASE_CURRENCY PIPEBOARD_REPORTING_TIMEZONE METABASE_LOCALE METABASE_SITE_URL; do
        value=$(setting $name)
        [ -z "$value" ] || printf '%s=%s\n' $name "$value"
    done >"$work/settings.env"
    kubectl kustomize "$work" >"$work/manifest.yaml"
    digest=$(git hash-object "$work/manifest.yaml")
}

# The record says which release was applied last, the cluster whether it still is: `down`, a hand or
# a failure may have changed it since. Any doubt is a reason to deploy.
is_deployed() {
    local recorded
    recorded=$(release_field release digest)
    [ "$recorded" = "$digest" ] || return 1
    is_as_applied || return 1
    ! on_minikube || [ "$(secret_value pipedrive PIPEDRIVE_API_TOKEN)" = "$(setting PIPEDRIVE_API_TOKEN)" ]
}

# Tell whether the cluster has what the manifest says, suspensions too, all of it ready, and no more.
is_as_applied() {
    kube diff --server-side --force-conflicts --field-manager run_project \
        -f "$work/manifest.yaml" -l "$LASTING" >/dev/null 2>&1 || return 1
    local object missing more
    for object in $(objects 'StatefulSet|Deployment' ''); do
        kube rollout status "$object" --timeout=1s >/dev/null 2>&1 || return 1
    done
    missing=$(missing_secrets) && [ -z "$missing" ] || return 1
    more=$(no_longer_in_release) && [ -z "$more" ]
}

build() {
    [ -z "$given_tag" ] || return 0
    if on_minikube; then
        local images
        images=$(minikube image ls 2>/dev/null) || images=""
        if grep -q "/*$image:$tag$" <<<"$images"; then
            say build "$image:$tag is there"
            return
        fi
    fi
    say build "$image:$tag"
    change docker build --quiet --build-arg "REVISION=$(git rev-parse HEAD)" --tag "$image:$tag" .
    if on_minikube; then
        change minikube image load "$image:$tag"
    else
        change docker push --quiet "$image:$tag"
    fi
}

# --- Secrets: made on minikube, expected elsewhere ---------------------------------------------

make_secrets() {
    local owner metrics reader metabase prefect transform=""
    owner=$(kept postgres WAREHOUSE_PASSWORD) metrics=$(kept postgres METRICS_PASSWORD)
    reader=$(kept postgres READER_PASSWORD) metabase=$(kept postgres METABASE_PASSWORD)
    prefect=$(kept postgres PREFECT_PASSWORD)
    # dbt's role is created with the volume. A volume from before there was one goes on with one role,
    # until somebody runs `pipeboard roles` and adds TRANSFORM_PASSWORD to the Secret.
    if [ -z "$(secret_value postgres POSTGRES_PASSWORD)" ] || [ -n "$(secret_value postgres TRANSFORM_PASSWORD)" ]; then
        transform=$(kept postgres TRANSFORM_PASSWORD)
    fi
    local redis server=postgres.$namespace.svc:5432
    redis=$(kept redis REDIS_PASSWORD)
    {
        secret postgres "POSTGRES_PASSWORD=$(kept postgres POSTGRES_PASSWORD)" \
            "WAREHOUSE_PASSWORD=$owner" "METRICS_PASSWORD=$metrics" "READER_PASSWORD=$reader" \
            "METABASE_PASSWORD=$metabase" "PREFECT_PASSWORD=$prefect" \
            ${transform:+"TRANSFORM_PASSWORD=$transform"}
        secret pipedrive "PIPEDRIVE_API_TOKEN=$(setting PIPEDRIVE_API_TOKEN)"
        secret warehouse "PIPEBOARD_DATABASE_URL=postgresql://pipeboard:$owner@$server/pipeboard" \
            ${transform:+"PIPEBOARD_TRANSFORM_DATABASE_URL=postgresql://pipeboard_transform:$transform@$server/pipeboard"}
        secret redis "REDIS_PASSWORD=$redis" "REDIS_URL=redis://:$redis@redis.$namespace.svc:6379/0"
        secret metrics-server \
            "PIPEBOARD_METRICS_DATABASE_URL=postgresql://pipeboard_metrics:$metrics@$server/pipeboard"
        secret grafana "GF_SECURITY_ADMIN_PASSWORD=$(kept grafana GF_SECURITY_ADMIN_PASSWORD)" \
            "WAREHOUSE_HOST=$server" WAREHOUSE_DATABASE=pipeboard WAREHOUSE_SSLMODE=disable \
            WAREHOUSE_USER=pipeboard_metrics "WAREHOUSE_PASSWORD=$metrics"
        secret metabase "MB_ENCRYPTION_SECRET_KEY=$(kept metabase MB_ENCRYPTION_SECRET_KEY)" \
            "MB_DB_CONNECTION_URI=jdbc:postgresql://$server/metabase?user=metabase&password=$metabase"
        secret metabase-provision "METABASE_ADMIN_EMAIL=$(administrator)" \
            "METABASE_ADMIN_PASSWORD=$(kept metabase-provision METABASE_ADMIN_PASSWORD)" \
            "METABASE_DATABASE_URL=postgresql://metabase_ro:$reader@$server/pipeboard"
        secret prefect "PREFECT_API_AUTH_STRING=$(kept prefect PREFECT_API_AUTH_STRING)" \
            "PREFECT_API_DATABASE_CONNECTION_URL=postgresql+asyncpg://prefect:$prefect@$server/prefect"
    } >"$scratch/secrets.yaml"
    change kube apply --server-side --force-conflicts -f "$scratch/secrets.yaml"
    rm "$scratch/secrets.yaml"
    say secrets "made from $ENV_FILE; passwords drawn once and kept in the cluster"
}

# secret NAME KEY=VALUE...: adds to a private file; an argument of kubectl could be seen by everyone.
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ndata:\n' \
        "$1" "$namespace"
    shift
    local pair
    for pair in "$@"; do
        printf '  %s: %s\n' "${pair%%=*}" "$(printf %s "${pair#*=}" | base64 | tr -d '\n')"
    done
}

# The value a Secret has already, or a fresh one.
kept() {
    local value
    value=$(secret_value "$1" "$2")
    [ -n "$value" ] || value=$(head -c 36 /dev/urandom | base64 | tr -dc 'a-zA-Z0-9')
    printf %s "$value"
}

# Who administrates Metabase: whoever did first, then the one of .env.
administrator() {
    local value
    value=$(secret_value metabase-provision METABASE_ADMIN_EMAIL)
    [ -n "$value" ] || value=$(setting METABASE_ADMIN_EMAIL)
    printf %s "${value:-admin@pipeboard.internal}"
}

# All Secrets at once, as lines of name, key and value in a private file. A request that fails ends the
# script here: it must not look like a Secret without a value, whose password would be drawn anew.
read_secrets() {
    # shellcheck disable=SC2016  # kubectl's variables
    kube get secrets -o go-template='{{range .items}}{{$name := .metadata.name}}{{range $key, $value := .data}}{{$name}} {{$key}} {{$value}}{{"\n"}}{{end}}{{end}}' \
        >"$scratch/known-secrets" || die $UNAVAILABLE "the Secrets of namespace $namespace cannot be read"
}

secret_value() {
    awk -v name="$1" -v key="$2" '$1 == name && $2 == key { print $3 }' "$scratch/known-secrets" | base64 -d
}

check_secrets() {
    [ -z "$dry_run" ] || return 0
    local missing
    missing=$(missing_secrets) || die $UNAVAILABLE "the Secrets of namespace $namespace cannot be read"
    [ -z "$missing" ] || die $CONFIGURATION "these Secrets are not in namespace $namespace:$missing. What \
each holds stands in docs/operators-guide.md"
}

missing_secrets() {
    local names found name
    names=$(needed_secrets)
    # By name: whoever deploys need not be allowed to list them all.
    # shellcheck disable=SC2086
    found=$(kube get secret $names --ignore-not-found -o name) || return 1
    for name in $names; do
        grep -qx "secret/$name" <<<"$found" || printf ' %s' "$name"
    done
}

# The names behind secretRef and secretKeyRef, without those that may be absent.
needed_secrets() {
    awk '
        /secret(Key)?Ref:/ { if (name) print name; inside = 1; name = ""; next }
        inside && $1 == "name:" { name = $2; next }
        inside && $1 == "key:" { next }
        inside && $1 == "optional:" { name = ""; next }
        inside { if (name) print name; inside = 0; if (/secretRef:/) inside = 1; name = "" }
    ' "$work/manifest.yaml" | sort -u
}

# --- Steps of a release -----------------------------------------------------------------------

suspend() {
    local jobs job
    jobs=$(kube get cronjobs -l app.kubernetes.io/part-of=pipeboard -o name) || return 1
    for job in $jobs; do
        change kube patch "$job" --type merge --patch '{"spec":{"suspend":true}}' || return 1
    done
}

# A load is never cut off. A backfill may take a day and needs no waiting: its schema only grows.
wait_for_runs() {
    [ -z "$dry_run" ] || return 0
    local deadline=$((SECONDS + timeout)) running
    while true; do
        running=$(active_runs)
        [ -n "$running" ] || return 0
        [ $SECONDS -lt $deadline ] || die $UNAVAILABLE "still at work after $timeout s: $running; try again later"
        say wait "for $running to finish"
        sleep "${PIPEBOARD_POLL_SECONDS:-5}"
    done
}

active_runs() {
    kube get jobs -l app.kubernetes.io/name=pipeboard \
        -o jsonpath='{range .items[?(@.status.active)]}{.metadata.name}{"\n"}{end}' \
        | { grep -v '^backfill-' || true; } | paste -s -d ' ' -
}

apply_phase() {
    [ -z "$(objects '.*' "$1")" ] || apply "$1" "pipeboard/phase=$1"
}

# apply WHAT SELECTOR [FILE]
apply() {
    say apply "$1"
    change kube apply --server-side --force-conflicts --field-manager run_project \
        -f "${3:-$work/manifest.yaml}" -l "$2"
}

wait_for_rollouts() {
    local object
    for object in $(objects 'StatefulSet|Deployment' "$1"); do
        say wait "$object"
        change kube rollout status "$object" --timeout="${timeout}s" || return 1
    done
}

# Delete what was applied with another release and is not part of this one.
prune() {
    local more object
    more=$(no_longer_in_release) || return 1
    for object in $more; do
        say prune "$object"
        # The runs that a CronJob started go on to their end.
        case $object in
            cronjob/*) change kube delete "$object" --ignore-not-found --cascade=orphan || return 1 ;;
            *) change kube delete "$object" --ignore-not-found || return 1 ;;
        esac
    done
}

no_longer_in_release() {
    local found
    found=$(kube get $PRUNED -l $OWNED -o name) || return 1
    comm -23 <(sed -n 's/\.[^/]*\//\//; /./p' <<<"$found" | sort) <(objects '.*' '' | sort)
}

# Where an account goes out, the one Prometheus learns of its Pushgateway.
apply_accounts() {
    local shared=pipeboard found
    found=$(kubectl --context "$context" --namespace $shared get configmap prometheus-accounts \
        --ignore-not-found -o name) || return 1
    if [ -z "$found" ]; then
        say accounts "no Prometheus runs in namespace $shared: nothing watches this account"
        return
    fi
    cp k8s/components/prometheus/accounts/targets.yml "$scratch/targets.yml"
    {
        echo "namespace: $shared"
        echo "labels: [{pairs: {${OWNED/=/: }}}]"
        echo "configMapGenerator: [{name: prometheus-accounts, files: [targets.yml],"
        echo "  options: {disableNameSuffixHash: true}}]"
    } >"$scratch/kustomization.yaml"
    kubectl kustomize "$scratch" >"$scratch/accounts.yaml"
    say accounts "Prometheus in namespace $shared scrapes all of them"
    change kubectl --context "$context" --namespace $shared apply --server-side --force-conflicts \
        --field-manager run_project -f "$scratch/accounts.yaml"
}

# Jobs cannot be changed, so the last release's goes first.
run_jobs() {
    local job
    for job in $(objects Job "$1"); do
        change kube delete "$job" --ignore-not-found --wait
    done
    apply_phase "$1"
    for job in $(objects Job "$1"); do
        wait_for_job "$job"
    done
}

wait_for_job() {
    [ -z "$dry_run" ] || return 0
    local deadline=$((SECONDS + timeout)) ended
    while true; do
        ended=$(kube get "$1" -o jsonpath='{.status.conditions[?(@.status=="True")].type}')
        case $ended in
            *Complete*) break ;;
            *Failed*) failed_job "$1" ;;
        esac
        [ $SECONDS -lt $deadline ] || failed_job "$1"
        sleep "${PIPEBOARD_POLL_SECONDS:-5}"
    done
    say "done" "$1"
}

failed_job() {
    kube logs "$1" --tail=50 --all-containers >&2 || true
    die 1 "$1 failed; its last words are above"
}

# objects KIND PHASE: names as kubectl takes them, read from the manifest; without a phase, of all.
objects() {
    awk -v kinds="^($1)\$" -v phase="$2" '
        function tell() {
            if (name && (found || phase == "") && kind ~ kinds) print tolower(kind) "/" name
            found = 0; name = ""
        }
        /^---$/ { tell(); section = ""; next }
        /^[a-zA-Z]/ { section = $1 }
        $1 == "kind:" && section == "kind:" { kind = $2 }
        section == "metadata:" && /^  name:/ { name = $2 }
        section == "metadata:" && $1 == "pipeboard/phase:" && $2 == phase { found = 1 }
        END { tell() }
    ' "$work/manifest.yaml"
}

# --- Releases: what was applied is kept in the cluster, where every operator finds it ------------

record_release() {
    local now=$work/manifest.yaml last=$scratch/last recorded
    mkdir -p "$last"
    recorded=$(release_field release digest)
    if [ "$recorded" != "$(git hash-object "$now")" ] && work=$last load_release release; then
        save_release release-before "$last/manifest.yaml" "$(release_field release tag)" \
            "$(release_field release commit)"
    fi
    save_release release "$now" "$tag" "$checkout"
}

# save_release NAME FILE TAG COMMIT: the commit is that of the manifests
save_release() {
    gzip -9 -n -c "$2" >"$scratch/manifest.gz"
    kubectl create configmap "$1" --namespace "$namespace" --from-file="$scratch/manifest.gz" \
        --from-literal=tag="$3" --from-literal=commit="$4" --from-literal=digest="$(git hash-object "$2")" \
        --dry-run=client --output yaml >"$scratch/$1.yaml"
    change kube apply --server-side --force-conflicts -f "$scratch/$1.yaml"
}

# Make the manifest of a release kept in the cluster the one at work; 1 if there is none, 2 if nobody
# can tell.
load_release() {
    local packed
    packed=$(kube get configmap "$1" --ignore-not-found -o 'jsonpath={.binaryData.manifest\.gz}') || return 2
    [ -n "$packed" ] || return 1
    base64 -d <<<"$packed" | gzip -d >"$work/manifest.yaml" || return 2
}

# require_release NAME MESSAGE
require_release() {
    local found=0
    load_release "$1" || found=$?
    case $found in
        0) ;;
        1) die $CONFIGURATION "$2" ;;
        *) die $UNAVAILABLE "the releases in $namespace cannot be read; try again" ;;
    esac
}

use_release() {
    require_release release "nothing is deployed in $namespace: ./run_project.sh deploy --env $env"
}

release_field() {
    kube get configmap "$1" --ignore-not-found -o "jsonpath={.data.$2}"
}

# `kubectl rollout undo` knows no CronJobs. A `go_back` runs this without `set -e`.
restore() {
    apply "release $tag again" "$LASTING" \
        && prune \
        && wait_for_rollouts data \
        && wait_for_rollouts serve
}

# A deployment that failed halfway leaves what ran before it, schedule and all.
go_back() {
    kube get pods,jobs >&2
    kube get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 20 >&2
    local found=0
    load_release release || found=$?
    if [ $found -eq 0 ] && tag=$(release_field release tag) && restore; then
        say rollback "release $tag runs again; the database stays as it is"
    elif [ $found -eq 1 ] && suspend; then
        say rollback "there is no release to go back to; nothing is scheduled"
    else
        say rollback "NOT done: the release before could not be applied again. Mend the cause above, then \
./run_project.sh deploy --env $env"
    fi
}

# --- Ports ------------------------------------------------------------------------------------

forward() {
    local place name target local_port
    for place in grafana:3000:3000 metabase:3001:3000 prometheus:9090:9090 prefect-server:4200:4200; do
        name=${place%%:*}
        target=${place##*:}
        local_port=${place#*:}
        local_port=$((${local_port%:*} + ${PIPEBOARD_PORT_SHIFT:-0}))
        grep -qx "  name: $name" "$work/manifest.yaml" || continue
        if is_forwarding "$name" "$local_port"; then
            say forward "$name is on http://127.0.0.1:$local_port already"
            continue
        fi
        if [ -n "$dry_run" ]; then
            say would "forward $name"
            continue
        fi
        end_forwarding "$name"
        # Whoever answers there now is not the one that is started next.
        ! answers_on "$local_port" || die $UNAVAILABLE \
            "port $local_port of this machine is taken: PIPEBOARD_PORT_SHIFT=10000 ./run_project.sh forward --env $env"
        keep_forwarding "$name" "$local_port:$target"
        wait_for_port "$local_port" || die $UNAVAILABLE \
            "$name does not answer on port $local_port; $work/forward/$name.log says why"
        say forward "$name is on http://127.0.0.1:$local_port"
    done
}

# In a process group of its own, so that ending it ends kubectl with it; again whenever it drops.
keep_forwarding() {
    mkdir -p "$work/forward"
    set -m
    (
        trap - EXIT INT TERM
        while true; do
            kube port-forward --address 127.0.0.1 "service/$1" "$2" || true
            sleep 2
        done
    ) >"$work/forward/$1.log" 2>&1 </dev/null 3>&- &
    echo $! >"$work/forward/$1.pid"
    echo "${2%:*}" >"$work/forward/$1.port"
    set +m
}

answers_on() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

wait_for_port() {
    local deadline=$((SECONDS + 30))
    until answers_on "$1"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# is_forwarding NAME PORT: it runs, on that port, and the port answers.
is_forwarding() {
    runs_forwarding "$1" && [ "$(cat "$work/forward/$1.port" 2>/dev/null)" = "$2" ] && answers_on "$2"
}

runs_forwarding() {
    local pid
    pid=$(cat "$work/forward/$1.pid" 2>/dev/null) || return 1
    # The number may belong to another program by now.
    ps -o args= -p "$pid" 2>/dev/null | grep -q run_project.sh
}

end_forwarding() {
    local file=$work/forward/$1
    if runs_forwarding "$1"; then
        change kill -TERM -- "-$(cat "$file.pid")"
    fi
    [ -n "$dry_run" ] || rm -f "$file.pid" "$file.port"
}

stop_forwarding() {
    local file
    for file in "$work"/forward/*.pid; do
        [ ! -e "$file" ] || end_forwarding "$(basename "$file" .pid)"
    done
}

# --- Small words ------------------------------------------------------------------------------

on_minikube() {
    [[ $env == minikube* ]]
}

on_account() {
    [[ $env == account-* ]]
}

kube() {
    kubectl --context "$context" --namespace "$namespace" "$@"
}

# Do it, or with --dry-run say it.
change() {
    if [ -n "$dry_run" ]; then
        say would "$*"
    else
        "$@"
    fi
}

# A setting: the environment, then .env, as everywhere.
setting() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -f "$ENV_FILE" ]; then
        value=$(sed -n "s/^$1=//p" "$ENV_FILE" | tail -n 1)
        value=${value#[\"\']}
        value=${value%[\"\']}
    fi
    printf %s "$value"
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die $CONFIGURATION "$tool is not installed, or not on the PATH"
    done
}

confirm() {
    if [ -z "$assume_yes" ] && [ -z "$dry_run" ]; then
        local answer
        read -r -p "$1 Type the namespace: " answer || answer=""
        [ "$answer" = "$namespace" ] || die $USAGE "nothing was deleted"
    fi
}

say() {
    printf '%-10s %s\n' "$1" "$2"
}

die() {
    printf 'run_project.sh: %s\n' "$2" >&2
    exit "$1"
}

on_exit() {
    local code=$?
    trap - EXIT
    if [ $code -ne 0 ] && [ -n "$changed" ]; then
        say failed "with exit code $code; going back" >&2
        set +e
        go_back
    fi
    rm -rf "${scratch:-}"
    exit $code
}

main "$@"
