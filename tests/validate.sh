#!/usr/bin/env bash
# Checks template.yaml both as written and as transformed by SAM, because some errors are visible in only one of the two.
# Needs no network access and no AWS account.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv-lint/bin:$PATH AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cfn-lint template.yaml
sam validate --template template.yaml
sam validate --lint --template template.yaml
python tests/transform.py template.yaml "$work/template.json"
cfn-lint "$work/template.json"
python tests/transform.py template.yaml "$work/gradual.json" GradualDeployment=Canary10Percent15Minutes Release=1795000000
cfn-lint "$work/gradual.json"
for transformed in template gradual; do
    checkov --config-file .checkov.yaml --file "$work/$transformed.json"
done
# The template that `make deploy PIPELINE_DIR=...` deploys. The code isn't looked at.
mkdir -p "$work/release/function" "$work/release/compact"
cp template.yaml "$work/release"
for function in function compact; do cp /bin/true "$work/release/$function/bootstrap"; done
for pipeline in orders findings alleycat demand; do
    cp -r "schemas/$pipeline" "$work/mine-$pipeline"
    target/debug/usagectl package --from "$work/release" --pipeline-dir "$work/mine-$pipeline" --out "$work/package"
    cfn-lint "$work/package/template.yaml"
    sam validate --lint --template "$work/package/template.yaml"
done
echo "template.yaml: no findings"
