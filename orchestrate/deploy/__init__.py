"""Deploys Pipeboard to Kubernetes: what `./run_project.sh` runs.

Needs Python 3.10 and nothing but its standard library, so that it works in a fresh checkout on an
operator's machine. It calls kubectl, git, docker and minikube, and reads no YAML itself except the
manifest as kustomize writes it.

`cli` reads the command line, `commands` holds one function per command, `deployment` the steps of a
release. Each other module is about one thing: `settings`, `shell`, `target`, `cluster`, `images`,
`manifest`, `cluster_secrets`, `releases`, `ports`.
"""
