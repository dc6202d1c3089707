#!/usr/bin/env bash
# One more company: fills in a copy of overlays/account-template, and names it to Prometheus.
#   k8s/new-account.sh NAME [COMPANY_DOMAIN]
set -euo pipefail
overlays=$(cd "$(dirname "${BASH_SOURCE[0]}")/overlays" && pwd)

usage() {
    echo "usage: k8s/new-account.sh NAME [COMPANY_DOMAIN]" >&2
    echo "NAME is lowercase letters, digits and dashes, at most 40; the domain defaults to it" >&2
    exit 64
}

[ $# -ge 1 ] && [ $# -le 2 ] || usage
name=$1 domain=${2:-$1}
[[ $name =~ ^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$ ]] || usage
[[ $domain =~ ^[A-Za-z0-9][A-Za-z0-9-]*$ ]] || usage
folder=$overlays/account-$name
if [ -e "$folder" ]; then
    echo "k8s/new-account.sh: $folder is there already; nothing was changed" >&2
    exit 64
fi

# A minute derived from the name: always the same, and companies are spread over the half hour.
minute=$(($(printf '%s' "$name" | cksum | cut -d ' ' -f 1) % 30))
cp -R "$overlays/account-template" "$folder"
sed -i.bak -e "s/pipeboard-example/pipeboard-$name/" -e "s/account: \"example\"/account: \"$name\"/" \
    -e "s|7-59/30 \*|$minute-59/30 *|" -e "s|17 5 \*|$((minute + 10)) 5 *|" \
    -e "s|47 3 \*|$((minute + 15)) 3 *|" -e '/^# Prometheus, Grafana/s/ k8s.new-account.sh fills in a copy; as it$//;/^# stands it is/d' \
    "$folder/kustomization.yaml"
sed -i.bak -e "s/DOMAIN=example/DOMAIN=$domain/" "$folder/settings.env"
rm "$folder"/*.bak

# The one Prometheus, in namespace `pipeboard`, scrapes the Pushgateway of each account.
targets=$overlays/../components/prometheus/accounts/targets.yml
{
    sed -n '/^#/p' "$targets"
    for place in "$overlays"/account-*/; do
        account=$(basename "$place")
        account=${account#account-}
        [ "$account" != template ] || continue
        printf -- '- targets: ["pushgateway.pipeboard-%s.svc:9091"]\n' "$account"
        printf '  labels: {account: "%s"}\n' "$account"
    done
} >"$targets.new"
mv "$targets.new" "$targets"

echo "k8s/overlays/account-$name: syncs at minutes $minute and $((minute + 30)); deploy it with"
echo "    ./run_project.sh deploy --env account-$name"
