# ./run_project.sh against stand-ins for minikube, docker and the API server of a cluster, which keeps
# what kubectl applies. Kubectl and kustomize are real; no real cluster was at hand.

bats_require_minimum_version 1.5.0

# A checkout of its own (the script writes below .pipeboard/, and asks git for the commit), and one
# deployment of it, both made once and copied.
setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    # The developers' environment: its kubectl is the real one.
    tools=${PIPEBOARD_TOOLS:-$root/.pipeboard/env/dev/bin}
    export REAL_KUBECTL=$tools/kubectl PATH=$BATS_TEST_DIRNAME/stand-ins:$tools:$PATH
    # Kubectl ends before it would be worth to collect garbage.
    export KUBECACHEDIR=$BATS_FILE_TMPDIR/kube GOGC=off
    "$tools/python" "$BATS_TEST_DIRNAME/stand-ins/api_server.py" "$BATS_FILE_TMPDIR/port" 3>&- &
    echo $! >"$BATS_FILE_TMPDIR/api-server.pid"
    until [ -s "$BATS_FILE_TMPDIR/port" ]; do sleep 0.1; done
    export PIPEBOARD_POLL_SECONDS=0.1 PIPEBOARD_PORT_SHIFT=22000
    unset PIPEDRIVE_API_TOKEN PIPEDRIVE_COMPANY_DOMAIN PIPEBOARD_KUBE_CONTEXT PIPEBOARD_IMAGE

    mkdir -p "$BATS_FILE_TMPDIR/checkout" "$BATS_FILE_TMPDIR/cluster"
    cd "$BATS_FILE_TMPDIR/checkout"
    cp -R "$root/k8s" "$root/run_project.sh" "$root/.gitignore" .
    mkdir orchestrate; cp -R "$root/orchestrate/deploy" orchestrate
    git init -q .
    commit first
    cat >"$BATS_FILE_TMPDIR/.env" <<'EOF'
PIPEDRIVE_API_TOKEN="s3cret-token"
PIPEDRIVE_COMPANY_DOMAIN=acme
EOF
    export STAND_IN=$BATS_FILE_TMPDIR/cluster
    use_context minikube
    PIPEBOARD_ENV_FILE=$BATS_FILE_TMPDIR/.env ./run_project.sh deploy >"$BATS_FILE_TMPDIR/words"
    mkdir -p "$BATS_FILE_TMPDIR/prod/cluster"
    export STAND_IN=$BATS_FILE_TMPDIR/prod/cluster
    on_prod
    git tag v1.2.3
    ./run_project.sh deploy --env prod --tag 1.2.3 >"$BATS_FILE_TMPDIR/words-of-prod"
    unset PIPEBOARD_KUBE_CONTEXT PIPEBOARD_IMAGE
}

teardown_file() {
    kill "$(cat "$BATS_FILE_TMPDIR/api-server.pid")"
}

setup() {
    cp -R "$BATS_FILE_TMPDIR/checkout" "$BATS_TEST_TMPDIR/checkout"
    cp "$BATS_FILE_TMPDIR/.env" "$BATS_TEST_TMPDIR/.env"
    cd "$BATS_TEST_TMPDIR/checkout"
    first=$(git rev-parse --short=12 HEAD)
    export STAND_IN=$BATS_TEST_TMPDIR/cluster PIPEBOARD_ENV_FILE=$BATS_TEST_TMPDIR/.env
    mkdir "$STAND_IN"
    use_context minikube
}

# The stand-in keeps the cluster of each test in the folder that its address names.
use_context() {
    export KUBECONFIG=$STAND_IN/kubeconfig
    cat >"$KUBECONFIG" <<EOF
{apiVersion: v1, kind: Config, current-context: $1, users: [{name: u, user: {}}],
 clusters: [{name: c, cluster: {server: "http://127.0.0.1:$(cat "$BATS_FILE_TMPDIR/port")$STAND_IN"}}],
 contexts: [{name: $1, context: {cluster: c, user: u}}]}
EOF
}

# The cluster as the first deployment left it, and no call counted yet.
deployed() {
    cp -R "$BATS_FILE_TMPDIR/cluster/objects" "$STAND_IN"
    : >"$STAND_IN/calls"
}

# The same for prod, whose image was given by tag.
deployed_on_prod() {
    on_prod
    cp -R "$BATS_FILE_TMPDIR/prod/cluster/objects" "$STAND_IN"
}

commit() {
    git add .
    git -c user.name=t -c user.email=t@example.org commit -q -m "$1"
}

teardown() {
    local file
    for file in .pipeboard/deploy/*/forward/*.pid; do
        [ ! -e "$file" ] || kill -TERM -- "-$(cat "$file")" 2>/dev/null || true
    done
}

calls() { cat "$STAND_IN/calls" 2>/dev/null || true; }

# What changes a cluster, in the order in which it was asked for, in short words.
changes() {
    # A rollout that is only looked at has a second.
    calls | sed -E -n -e '/ rollout status .* --timeout=1s$/d' \
        -e 's/^(minikube (start|stop|image load)|docker (build|push)).*/\1/p' \
        -e 's/.*-n?a?m?e?space [a-z-]+ (apply) .*-l (.*)/\1 \2/p' \
        -e 's/.* (apply) .* -f -$/apply -/p' \
        -e 's/.* (patch) ([^ ]+) .*/\1 \2/p' \
        -e 's/.* (delete) (job|namespace)[/ ]([a-z-]+).*/\1 \2 \3/p' \
        -e 's/.* rollout status ([^ ]+).*/ready \1/p'
}

OBJECTS=objects/pipeboard

suspended() {
    grep -l '"suspend": true' "$STAND_IN/$OBJECTS"/cronjob.*.json | sed 's/.*cronjob\.//; s/\.json//'
}

# stored KIND.NAME KEY: the first value of that key.
stored() {
    sed -n "s/^ *\"$2\": \"*\([^\"]*\)\"*,*$/\1/p" "$STAND_IN/$OBJECTS/$1.json" | head -n 1
}

exists() { [ -e "$STAND_IN/$OBJECTS/$1.json" ]; }

# create KIND NAME [APIVERSION]: what somebody made by hand.
create() {
    local file=$BATS_TEST_TMPDIR/by-hand.yaml
    printf '{apiVersion: %s, kind: %s, metadata: {name: %s, namespace: pipeboard, labels: {%s}}}\n' \
        "${3:-v1}" "$1" "$2" "app.kubernetes.io/part-of: pipeboard" >"$file"
    "$REAL_KUBECTL" apply --server-side --field-manager somebody -f "$file"
}

decoded() { stored "$1" "$2" | base64 -d; }

commit_again() {
    echo "# $RANDOM" >>k8s/base/settings.env
    echo "PIPEBOARD_BASE_CURRENCY=EUR" >>k8s/overlays/prod/settings.env
    commit again
}

on_prod() {
    use_context prod-cluster
    export PIPEBOARD_KUBE_CONTEXT=prod-cluster PIPEBOARD_IMAGE=registry.example.org/team/pipeboard
    make_secrets pipeboard redis metrics-server grafana metabase metabase-provision pipedrive warehouse
}

# make_secrets NAMESPACE NAME...
make_secrets() {
    local name folder=$STAND_IN/objects/$1
    shift
    mkdir -p "$folder"
    for name in "$@"; do
        printf '{"object": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "%s"}, "data": {\n%s\n}}, %s}' \
            "$name" '"x": "eA=="' '"applied": {}' >"$folder/secret.$name.json"
    done
}

@test "up starts everything, in this order" {
    run -0 ./run_project.sh
    run -0 changes
    expected="minikube start
docker build
minikube image load
apply !pipeboard/phase
apply -
apply pipeboard/phase=data
ready statefulset/postgres
ready statefulset/redis
delete job migrate
apply pipeboard/phase=migrate
apply pipeboard/phase=serve
ready deployment/grafana
ready deployment/metabase
ready deployment/metrics-server
ready deployment/prometheus
ready deployment/pushgateway
delete job metabase-provision
apply pipeboard/phase=provision
delete job smoke
apply pipeboard/phase=smoke
apply pipeboard/phase=schedule
apply -"
    diff <(echo "$expected") <(echo "$output")
    [ "$(suspended)" = backfill ]
    [ "$(stored configmap.release tag)" = "$first" ]
}

@test "the images that run are of this commit, with the settings of .env" {
    deployed
    for job in sync backfill; do
        image=$(stored cronjob.$job image)
        [ "$image" = "pipeboard:$first" ]
    done
    [ "$(stored configmap.settings PIPEDRIVE_COMPANY_DOMAIN)" = acme ]
}

@test "a second up changes nothing" {
    deployed
    touch "$STAND_IN/minikube-runs"
    run -0 ./run_project.sh forward
    : >"$STAND_IN/calls"
    run -0 ./run_project.sh
    [[ $output == *"release $first is deployed already; nothing was changed"* ]]
    [[ $output == *"grafana is on http://127.0.0.1:25000 already"* ]]
    [ -z "$(changes)" ]
    run ! grep -E " (apply|patch|delete|create|port-forward) " "$STAND_IN/calls"
}

@test "a token that changed is a change" {
    deployed
    echo PIPEDRIVE_API_TOKEN=another >>"$PIPEBOARD_ENV_FILE"
    run -0 ./run_project.sh deploy
    [ "$(decoded secret.pipedrive PIPEDRIVE_API_TOKEN)" = another ]
}

@test "passwords are drawn once, and never seen in a call, in the words, or in a file that stays" {
    deployed
    cp "$BATS_FILE_TMPDIR/cluster/calls" "$STAND_IN/calls"
    words=$(cat "$BATS_FILE_TMPDIR/words")
    first_password=$(decoded secret.postgres WAREHOUSE_PASSWORD)
    [ ${#first_password} -ge 32 ]
    url=$(decoded secret.warehouse PIPEBOARD_DATABASE_URL)
    [ "$url" = "postgresql://pipeboard:$first_password@postgres.pipeboard.svc:5432/pipeboard" ]
    for secret in "$first_password" s3cret-token; do
        [[ $words != *"$secret"* ]]
        run ! grep -q "$secret" "$STAND_IN/calls"
        run ! grep -rq "$secret" ".pipeboard"
    done
    commit_again
    run -0 ./run_project.sh deploy
    [ "$(decoded secret.postgres WAREHOUSE_PASSWORD)" = "$first_password" ]
}

@test "dbt has a role of its own, except on a volume from before there was one" {
    deployed
    transform=$(decoded secret.postgres TRANSFORM_PASSWORD)
    url=$(decoded secret.warehouse PIPEBOARD_TRANSFORM_DATABASE_URL)
    [ "$url" = "postgresql://pipeboard_transform:$transform@postgres.pipeboard.svc:5432/pipeboard" ]
    [ ${#transform} -ge 32 ]
    for secret in postgres/TRANSFORM_PASSWORD warehouse/PIPEBOARD_TRANSFORM_DATABASE_URL; do
        sed -i.bak "/\"${secret#*/}\"/d" "$STAND_IN/$OBJECTS/secret.${secret%/*}.json"
        sed -i.bak 'N;s/,\n\( *}\)/\n\1/;P;D' "$STAND_IN/$OBJECTS/secret.${secret%/*}.json"
    done
    commit_again
    run -0 ./run_project.sh deploy
    [ -z "$(decoded secret.warehouse PIPEBOARD_TRANSFORM_DATABASE_URL)" ]
    [ -n "$(decoded secret.warehouse PIPEBOARD_DATABASE_URL)" ]
}

@test "every Secret that a pod asks for is made on minikube, with Prefect too" {
    run -0 ./run_project.sh deploy --env minikube-prefect
    for name in pipedrive warehouse redis postgres metrics-server grafana metabase metabase-provision prefect; do
        exists "secret.$name"
    done
    [ "$(suspended | paste -s -d ' ' -)" = "backfill reference sweep sync" ]
    # Its flows run in the image that this release built.
    grep -A 1 -e '- name: PIPEBOARD_IMAGE' .pipeboard/deploy/minikube-prefect/manifest.yaml \
        | grep -q "value: pipeboard:$first"
}

@test "before a migration the schedule is suspended, and runs at work are waited for" {
    deployed
    commit_again
    echo "sync-29384" >"$STAND_IN/active-jobs"
    : >"$STAND_IN/calls"
    run -0 ./run_project.sh deploy
    [[ $output == *"for sync-29384 to finish"* ]]
    suspend=$(grep -n -m 1 "patch cronjob.batch/sync" "$STAND_IN/calls" | cut -d : -f 1)
    waited=$(grep -n "get jobs -l" "$STAND_IN/calls" | tail -n 1 | cut -d : -f 1)
    migrate=$(grep -n -m 1 "phase=migrate" "$STAND_IN/calls" | cut -d : -f 1)
    [ "$suspend" -lt "$waited" ] && [ "$waited" -lt "$migrate" ]
    [ "$(suspended)" = backfill ]
}

@test "a run that takes too long is never cut off: the release waits, and the schedule goes on" {
    deployed
    commit_again
    yes sweep-1 | head -n 100 >"$STAND_IN/active-jobs"
    run -69 ./run_project.sh deploy --timeout 1
    [[ $output == *"still running after 1 s: sweep-1; try again later"* ]]
    [ "$(suspended)" = backfill ]
    run ! grep -q "phase=migrate.*phase=migrate" <(changes | paste -s -)
}

@test "a backfill at work is not waited for" {
    deployed
    commit_again
    yes backfill-1 | head -n 100 >"$STAND_IN/active-jobs"
    run -0 ./run_project.sh deploy --timeout 1
}

@test "a failing migration is rolled back: nothing of the new release is served" {
    deployed
    commit_again
    echo job/migrate >"$STAND_IN/failing"
    : >"$STAND_IN/calls"
    run -1 ./run_project.sh deploy
    [[ $output == *"job/migrate failed"* && $output == *"release $first runs again"* ]]
    run ! grep -q "phase=serve" "$STAND_IN/calls"
    grep -q "logs job/migrate" "$STAND_IN/calls"
    [ "$(stored configmap.release tag)" = "$first" ]
    [ "$(suspended)" = backfill ]
}

@test "a failing rollout is rolled back: images, settings and schedule are the old ones" {
    deployed
    commit_again
    echo deployment/metabase >"$STAND_IN/failing"
    run -1 ./run_project.sh deploy
    [[ $output == *"going back"* ]]
    image=$(stored cronjob.sync image)
    [ "$image" = "pipeboard:$first" ]
    [ "$(stored deployment.metrics-server image)" = "pipeboard:$first" ]
    [ "$(suspended)" = backfill ]
}

@test "a failing smoke test is rolled back" {
    deployed
    commit_again
    echo job/smoke >"$STAND_IN/failing"
    run -1 ./run_project.sh deploy
    [[ $output == *"release $first runs again"* ]]
    [ "$(stored configmap.release tag)" = "$first" ]
}

@test "a first deployment that fails schedules nothing" {
    echo job/smoke >"$STAND_IN/failing"
    run -1 ./run_project.sh deploy
    [[ $output == *"there is no release to go back to; nothing is scheduled"* ]]
    [ -z "$(find "$STAND_IN/objects" -name 'cronjob.*')" ]
}

@test "a failing build touches no cluster" {
    touch "$STAND_IN/no-build"
    run -1 ./run_project.sh deploy
    run ! grep -E " (apply|patch|delete) " "$STAND_IN/calls"
}

@test "rollback goes back by one, and again forward" {
    deployed
    commit_again
    second=$(git rev-parse --short=12 HEAD)
    ./run_project.sh deploy >/dev/null
    [ "$(stored configmap.release tag)" = "$second" ]
    run -0 ./run_project.sh rollback
    [[ $output == *"release $first runs again; the database stays as it is"* ]]
    [ "$(stored configmap.release tag)" = "$first" ]
    [ "$(stored configmap.release-before tag)" = "$second" ]
    image=$(stored cronjob.sync image)
    [ "$image" = "pipeboard:$first" ]
    run -0 ./run_project.sh rollback
    [ "$(stored configmap.release tag)" = "$second" ]
}

@test "a deployment after down lets the schedule go again" {
    deployed_on_prod
    run -0 ./run_project.sh deploy --env prod --tag 1.2.3
    [[ $output == *"release 1.2.3 is deployed already; nothing was changed"* ]]
    ./run_project.sh down --env prod >/dev/null
    [ "$(suspended | paste -s -d ' ' -)" = "backfill reference sweep sync" ]
    run -0 ./run_project.sh status --env prod
    [[ $output == *"differs from this release"* ]]
    run -0 ./run_project.sh deploy --env prod --tag 1.2.3
    [[ $output == *"release 1.2.3 runs"* ]]
    [ "$(suspended)" = backfill ]
}

# bats test_tags=long
@test "whatever the cluster has lost or changed since, a deployment mends" {
    deployed
    for path in cronjobs/sweep networkpolicies/default-deny secrets/redis configmaps/settings; do
        kubectl -n pipeboard delete "${path%/*}" "${path#*/}" --wait=false
        run -0 ./run_project.sh status
        [[ $output == *"differs from this release; *"* ]]
    done
    run -0 ./run_project.sh deploy
    [[ $output == *"release $first runs"* ]]
    run -0 ./run_project.sh deploy
    [[ $output == *"is deployed already"* ]]
}

# bats test_tags=long
@test "a workload that is not ready is no release that runs" {
    deployed
    cp -R "$STAND_IN/objects" "$BATS_TEST_TMPDIR/as-deployed"
    # StatefulSets count no unavailable replicas; Deployments do.
    for workload in statefulset/redis deployment/grafana; do
        echo $workload >"$STAND_IN/failing"
        kubectl -n pipeboard patch $workload --type merge --patch '{"metadata":{"annotations":{"x":"y"}}}'
        run ./run_project.sh deploy --timeout 1
        [ "$status" -ne 0 ]
        [[ $output == *"going back"* && $output == *"NOT done: the release before could not be applied"* ]]
        rm -r "$STAND_IN/failing" "$STAND_IN/objects"
        cp -R "$BATS_TEST_TMPDIR/as-deployed" "$STAND_IN/objects"
    done
}

# bats test_tags=long
@test "what a failed release added is gone after the rollback, and nothing else" {
    deployed
    create ConfigMap release-notes
    create CronJob report-by-hand batch/v1
    add_report
    ./run_project.sh deploy >/dev/null
    exists cronjob.report && exists serviceaccount.report
    run -0 ./run_project.sh rollback
    [[ $output == *"prune      cronjob/report"* ]]
    ! exists cronjob.report && ! exists serviceaccount.report
    grep -q "delete cronjob/report .*--cascade=orphan" "$STAND_IN/calls"
    exists configmap.release-notes && exists cronjob.report-by-hand
    exists persistentvolumeclaim.prometheus && exists secret.postgres && exists configmap.release
    # Forward again, it is there again.
    run -0 ./run_project.sh rollback
    exists cronjob.report && exists serviceaccount.report
}

@test "a release that fails halfway leaves nothing of its own" {
    deployed
    add_report
    echo job/smoke >"$STAND_IN/failing"
    run -1 ./run_project.sh deploy
    ! exists serviceaccount.report && ! exists cronjob.report
}

@test "what a release has no longer is deleted with it" {
    deployed
    run -0 ./run_project.sh deploy --env minikube-prefect
    exists deployment.prefect-worker
    run -0 ./run_project.sh deploy
    # Else Prefect would go on scheduling beside the CronJobs.
    ! exists deployment.prefect-worker && ! exists networkpolicy.prefect-worker
    [ "$(suspended)" = backfill ]
}

# A release with one CronJob and one account more.
add_report() {
    sed -e 's/name: sweep/name: report/' k8s/base/cronjob-sweep.yaml >k8s/base/cronjob-report.yaml
    sed -e 's/name: pipeboard/name: report/' k8s/base/serviceaccount-pipeboard.yaml >k8s/base/report.yaml
    sed -i.bak 's/  - cronjob-sweep.yaml/&\n  - cronjob-report.yaml\n  - report.yaml/' k8s/base/kustomization.yaml
    rm k8s/base/*.bak
    commit "one more"
}

# bats test_tags=long
@test "a request that fails is no answer: nothing goes on as if there were nothing" {
    deployed
    commit_again
    password=$(decoded secret.postgres WAREHOUSE_PASSWORD)
    # Secrets that cannot be read are not drawn anew.
    echo "GET .*/secrets.*" >"$STAND_IN/refused"
    run -69 ./run_project.sh deploy
    [ "$(decoded secret.postgres WAREHOUSE_PASSWORD)" = "$password" ]
    # CronJobs that cannot be listed are not suspended; runs that cannot be seen may be at work.
    for refused in "GET .*/cronjobs" "PATCH .*/cronjobs/sync" "GET .*/jobs"; do
        echo "$refused" >"$STAND_IN/refused"
        : >"$STAND_IN/calls"
        run ./run_project.sh deploy
        [ "$status" -ne 0 ]
        run ! grep -q "phase=migrate" "$STAND_IN/calls"
    done
    # Releases that cannot be read are not "none".
    echo "GET .*/configmaps/release.*" >"$STAND_IN/refused"
    run -69 ./run_project.sh rollback
    run -69 ./run_project.sh provision
    rm "$STAND_IN/refused"
    run -0 ./run_project.sh deploy
    [ "$(suspended)" = backfill ]
}

@test "rollback without a release before says so" {
    deployed
    run -78 ./run_project.sh rollback
    [[ $output == *"there is no release before this one in pipeboard"* ]]
}

@test "the wrong context is refused before anything is asked of it" {
    use_context prod-cluster
    for verb in up deploy provision status forward rollback "down --delete --yes"; do
        : >"$STAND_IN/calls"
        touch "$STAND_IN/minikube-runs"
        run -78 ./run_project.sh $verb
        [[ $output == *"kubectl points at prod-cluster, and --env minikube is for minikube"* ]]
        run ! grep -E "apply|patch|delete|start" "$STAND_IN/calls"
    done
}

@test "prod wants a context by name, an image to push, and its Secrets" {
    run -78 ./run_project.sh deploy --env prod
    [[ $output == *"PIPEBOARD_KUBE_CONTEXT is not set"* ]]
    on_prod
    unset PIPEBOARD_IMAGE
    run -78 ./run_project.sh deploy --env prod
    [[ $output == *"PIPEBOARD_IMAGE is not set"* ]]
    on_prod
    rm "$STAND_IN/$OBJECTS/secret.warehouse.json" "$STAND_IN/$OBJECTS/secret.grafana.json"
    run -78 ./run_project.sh deploy --env prod
    [[ $output == *"not in namespace pipeboard: grafana warehouse."* ]]
    run ! grep -q "phase=" "$STAND_IN/calls"
}

@test "prod is built, pushed and deployed, and makes no Secret" {
    on_prod
    run -0 ./run_project.sh deploy --env prod
    grep -q "docker push --quiet registry.example.org/team/pipeboard:$first" "$STAND_IN/calls"
    run ! grep -q minikube "$STAND_IN/calls"
    [ "$(stored secret.pipedrive x)" = eA== ]
    image=$(stored cronjob.sync image)
    [ "$image" = "registry.example.org/team/pipeboard:$first" ]
    ! exists statefulset.postgres
}

@test "--tag takes an image that exists, and builds none" {
    run ! grep -q "^docker" "$BATS_FILE_TMPDIR/prod/cluster/calls"
    deployed_on_prod
    [ "$(stored configmap.release tag)" = 1.2.3 ]
    [ "$(stored configmap.release commit)" = "$first" ]
    # Git does not know this one, so that the manifests of this checkout go out, and the record says so.
    run -0 ./run_project.sh deploy --env prod --tag build-7
    [[ $output == *"git does not know build-7; the manifests are those of this checkout, $first"* ]]
    [ "$(stored configmap.release commit)" = "$first" ]
}

@test "--tag of another commit is refused: its manifests are not those of this checkout" {
    deployed_on_prod
    commit_again
    : >"$STAND_IN/calls"
    for tag in 1.2.3 v1.2.3 "$first" "$first-0123abcd"; do
        run -78 ./run_project.sh deploy --env prod --tag "$tag"
        [[ $output == *"image $tag is commit $first"*"git checkout $first"* ]]
    done
    [ -z "$(changes)" ]
}

@test "an account is deployed into its namespace" {
    on_prod
    k8s/new-account.sh acme >/dev/null
    run -78 ./run_project.sh deploy --env account-acme
    [[ $output == *"these Secrets are not in namespace pipeboard-acme: pipedrive warehouse."* ]]
    make_secrets pipeboard-acme pipedrive warehouse
    run -0 ./run_project.sh deploy --env account-acme
    [[ $output == *"no Prometheus runs in namespace pipeboard: nothing watches this account"* ]]
    [ "$(stored ../pipeboard-acme/configmap.release tag)" != "" ]
    run ! grep -q -- "--namespace pipeboard apply" "$STAND_IN/calls"
}

@test "the one Prometheus scrapes an account as soon as it is deployed" {
    deployed_on_prod
    k8s/new-account.sh acme >/dev/null
    make_secrets pipeboard-acme pipedrive warehouse
    run -0 ./run_project.sh deploy --env account-acme
    grep -q pushgateway.pipeboard-acme.svc:9091 "$STAND_IN/$OBJECTS/configmap.prometheus-accounts.json"
    # The release of that namespace has the same object, so that its next deployment keeps it.
    run -0 ./run_project.sh deploy --env prod
    run -0 ./run_project.sh status --env prod
    [[ $output == *"cluster    is as this release left it"* ]]
}

@test "what is not committed gets a name of its own" {
    echo "# changed" >>k8s/base/settings.env
    run -0 ./run_project.sh deploy
    tag=$(stored configmap.release tag)
    [[ $tag =~ ^$first-[0-9a-f]{8}$ ]]
}

@test "--dry-run says what it would do, and does nothing" {
    touch "$STAND_IN/minikube-runs"
    run -0 ./run_project.sh up --dry-run
    [[ $output == *"would      docker build"* && $output == *"phase=schedule"* ]]
    [ -z "$(changes)" ]
    [[ $output != *s3cret-token* ]]
}

@test "settings that are missing are named, before anything is done" {
    echo PIPEDRIVE_COMPANY_DOMAIN=acme >"$PIPEBOARD_ENV_FILE"
    touch "$STAND_IN/minikube-runs"
    run -78 ./run_project.sh
    [[ $output == *"PIPEDRIVE_API_TOKEN is not set"* ]]
    [ -z "$(changes)" ]
}

@test "a tool that is missing is named" {
    PATH=/usr/bin:/bin run -78 env PATH="$BATS_TEST_TMPDIR/nothing:/usr/bin:/bin" \
        bash -c 'command -v kubectl minikube >/dev/null && exit 78; ./run_project.sh deploy'
}

@test "a cluster that does not answer is told from a wrong one" {
    touch "$STAND_IN/minikube-runs"
    echo yes >"$STAND_IN/unreachable"
    run -69 ./run_project.sh deploy
    [[ $output == *"does not answer"* ]]
}

@test "forwarded ports answer, are forwarded once, and end with down" {
    deployed
    run -0 ./run_project.sh forward
    for port in 25000 25001 31090; do
        (exec 3<>"/dev/tcp/127.0.0.1/$port")
    done
    pid=$(cat .pipeboard/deploy/minikube/forward/grafana.pid)
    run -0 ./run_project.sh forward
    [ "$(cat .pipeboard/deploy/minikube/forward/grafana.pid)" = "$pid" ]
    run -0 ./run_project.sh down
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.2
    done
    run ! kill -0 "$pid"
    [ -z "$(ls .pipeboard/deploy/minikube/forward/*.pid 2>/dev/null)" ]
    run ! bash -c 'exec 3<>/dev/tcp/127.0.0.1/25000'
}

@test "a forwarded port is the one asked for, answers, and was free before" {
    deployed
    run -0 ./run_project.sh forward
    PIPEBOARD_PORT_SHIFT=23000 run -0 ./run_project.sh forward
    [[ $output == *"grafana is on http://127.0.0.1:26000"* && $output != *already* ]]
    (exec 3<>"/dev/tcp/127.0.0.1/26000")
    run ! bash -c 'exec 3<>/dev/tcp/127.0.0.1/25000'
    run -0 ./run_project.sh down
    python3 -IS -m http.server --bind 127.0.0.1 25000 >/dev/null 2>&1 3>&- &
    other=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/25000") 2>/dev/null; do sleep 0.1; done
    run -69 ./run_project.sh forward
    kill $other
    [[ $output == *"port 25000 of this machine is taken"* ]]
}

@test "down ends nobody else's process" {
    mkdir -p .pipeboard/deploy/minikube/forward
    sleep 60 &
    other=$!
    echo $other >.pipeboard/deploy/minikube/forward/grafana.pid
    run -0 ./run_project.sh down
    kill -0 $other
    kill $other
}

@test "down keeps the data; --delete asks for the namespace by name" {
    deployed
    run -64 ./run_project.sh down --delete <<<"no"
    [[ $output == *"nothing was deleted"* ]]
    exists statefulset.postgres
    run -0 ./run_project.sh down --delete <<<"pipeboard"
    ! exists statefulset.postgres
}

@test "down on prod suspends the schedule and stops nothing" {
    deployed_on_prod
    run -0 ./run_project.sh down --env prod
    [ "$(suspended | wc -l)" -eq 4 ]
    run ! grep -E " (delete|scale|apply) " "$STAND_IN/calls"
}

@test "provision runs the Jobs of its phase, of the release that runs" {
    run -78 ./run_project.sh provision
    [[ $output == *"nothing is deployed in pipeboard"* ]]
    ./run_project.sh deploy >/dev/null
    : >"$STAND_IN/calls"
    run -0 ./run_project.sh provision
    [ "$(changes | paste -s -d ';' -)" = "delete job metabase-provision;apply pipeboard/phase=provision" ]
}

@test "status shows the release and changes nothing" {
    deployed
    : >"$STAND_IN/calls"
    run -0 ./run_project.sh status
    [[ $output == *"release    $first"* ]]
    [ -z "$(changes)" ]
}

@test "words that are not known are refused with a remedy" {
    for words in fly "up --fast" "up --env mars" "deploy --env ../prod" "up --timeout soon" "up --tag"; do
        run -64 ./run_project.sh $words
        [[ $output == *"run_project.sh: "* ]]
    done
    run -0 ./run_project.sh --help
    [[ $output == *"usage: ./run_project.sh"* ]]
    [ -z "$(calls)" ]
}
