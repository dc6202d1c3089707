# ./run_project.sh against stand-ins for kubectl, minikube and docker, which write down every call.
# Kustomize is real, the cluster is not: no real one was at hand.

bats_require_minimum_version 1.5.0

# A checkout of its own (the script writes below .pipeboard/, and asks git for the commit), and one
# deployment of it, both made once and copied.
setup_file() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    # The developers' environment: its kubectl is the real one.
    tools=${PIPEBOARD_TOOLS:-$root/.pipeboard/env/dev/bin}
    export REAL_KUBECTL=$tools/kubectl PATH=$BATS_TEST_DIRNAME/stand-ins:$tools:$PATH
    export PIPEBOARD_POLL_SECONDS=0.1 PIPEBOARD_PORT_SHIFT=22000
    unset PIPEDRIVE_API_TOKEN PIPEDRIVE_COMPANY_DOMAIN PIPEBOARD_KUBE_CONTEXT PIPEBOARD_IMAGE

    mkdir -p "$BATS_FILE_TMPDIR/checkout" "$BATS_FILE_TMPDIR/cluster"
    cd "$BATS_FILE_TMPDIR/checkout"
    cp -R "$root/k8s" "$root/run_project.sh" .
    echo .pipeboard/ >.gitignore
    git init -q .
    commit first
    cat >"$BATS_FILE_TMPDIR/.env" <<'EOF'
PIPEDRIVE_API_TOKEN="s3cret-token"
PIPEDRIVE_COMPANY_DOMAIN=acme
EOF
    STAND_IN=$BATS_FILE_TMPDIR/cluster PIPEBOARD_ENV_FILE=$BATS_FILE_TMPDIR/.env \
        ./run_project.sh deploy >"$BATS_FILE_TMPDIR/words"
}

setup() {
    cp -R "$BATS_FILE_TMPDIR/checkout" "$BATS_TEST_TMPDIR/checkout"
    cp "$BATS_FILE_TMPDIR/.env" "$BATS_TEST_TMPDIR/.env"
    cd "$BATS_TEST_TMPDIR/checkout"
    first=$(git rev-parse --short=12 HEAD)
    export STAND_IN=$BATS_TEST_TMPDIR/cluster PIPEBOARD_ENV_FILE=$BATS_TEST_TMPDIR/.env
    mkdir "$STAND_IN"
}

# The cluster as the first deployment left it, and no call counted yet.
deployed() {
    cp -R "$BATS_FILE_TMPDIR/cluster/." "$STAND_IN"
    : >"$STAND_IN/calls"
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
    calls | sed -E -n \
        -e 's/^(minikube (start|stop|image load)|docker (build|push)).*/\1/p' \
        -e 's/.*-n?a?m?e?space [a-z-]+ (apply) .*-l (.*)/\1 \2/p' \
        -e 's/.* (apply) .*\/(release[^ .]*).yaml$/\1 \2/p' \
        -e 's/.* (patch) ([^ ]+) .*/\1 \2/p' \
        -e 's/.* (delete) (job|namespace)[/ ]([a-z-]+).*/\1 \2 \3/p' \
        -e 's/.* rollout status ([^ ]+).*/ready \1/p'
}

suspended() {
    grep -l '^  suspend: true' "$STAND_IN"/objects/cronjob.*.yaml | sed 's/.*cronjob\.//; s/\.yaml//'
}

# stored KIND.NAME KEY: the first value of that key.
stored() {
    sed -n "s/^ *-* *$2: *//p" "$STAND_IN/objects/$1.yaml" | head -n 1 | tr -d "\"'"
}

decoded() { stored "$1" "$2" | base64 -d; }

commit_again() {
    echo "# $RANDOM" >>k8s/base/settings.env
    echo "PIPEBOARD_BASE_CURRENCY=EUR" >>k8s/overlays/prod/settings.env
    commit again
}

on_prod() {
    echo prod-cluster >"$STAND_IN/context"
    export PIPEBOARD_KUBE_CONTEXT=prod-cluster PIPEBOARD_IMAGE=registry.example.org/team/pipeboard
    local name
    mkdir -p "$STAND_IN/objects"
    for name in pipedrive warehouse redis metrics-server grafana metabase metabase-provision; do
        printf 'data:\n  x: eA==\n' >"$STAND_IN/objects/secret.$name.yaml"
    done
}

@test "up starts everything, in this order" {
    run -0 ./run_project.sh
    run -0 changes
    expected="minikube start
docker build
minikube image load
apply !pipeboard/phase
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
apply release"
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

@test "every Secret that a pod asks for is made on minikube, with Prefect too" {
    run -0 ./run_project.sh deploy --env minikube-prefect
    for name in pipedrive warehouse redis postgres metrics-server grafana metabase metabase-provision prefect; do
        [ -e "$STAND_IN/objects/secret.$name.yaml" ]
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
    [[ $output == *"still at work after 1 s: sweep-1; try again later"* ]]
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

@test "rollback without a release before says so" {
    deployed
    run -78 ./run_project.sh rollback
    [[ $output == *"there is no release before this one in pipeboard"* ]]
}

@test "the wrong context is refused before anything is asked of it" {
    echo prod-cluster >"$STAND_IN/context"
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
    rm "$STAND_IN/objects/secret.warehouse.yaml" "$STAND_IN/objects/secret.grafana.yaml"
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
    [ ! -e "$STAND_IN/objects/statefulset.postgres.yaml" ]
}

@test "--tag takes an image that exists, and builds none" {
    on_prod
    run -0 ./run_project.sh deploy --env prod --tag 1.2.3
    run ! grep -q "^docker" "$STAND_IN/calls"
    [ "$(stored configmap.release tag)" = 1.2.3 ]
}

@test "an account is deployed into its namespace" {
    on_prod
    k8s/new-account.sh acme >/dev/null
    run -0 ./run_project.sh deploy --env account-acme
    grep -q -- "--namespace pipeboard-acme apply" "$STAND_IN/calls"
    run ! grep -q -- "--namespace pipeboard apply" "$STAND_IN/calls"
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
    echo yes >"$STAND_IN/down"
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
    [ -e "$STAND_IN/objects/statefulset.postgres.yaml" ]
    run -0 ./run_project.sh down --delete <<<"pipeboard"
    [ ! -e "$STAND_IN/objects/statefulset.postgres.yaml" ]
}

@test "down on prod suspends the schedule and stops nothing" {
    on_prod
    ./run_project.sh deploy --env prod >/dev/null
    : >"$STAND_IN/calls"
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
