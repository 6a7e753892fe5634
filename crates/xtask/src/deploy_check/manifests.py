"""The part of `cargo xtask deploy-check` that reads YAML: renders the charts and the kustomization, validates what comes out, and
writes down which configurations and command lines of ci-bridge it found, for the program itself to judge.

    manifests.py ROOT OUT PROGRAMS [--write]

Exit 1 and one line for each finding. OUT gets `rules.yaml`, `configs` and `invocations` (a line each, words parted by tabs)."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

try:
    from helm_python import chart as helm
except ImportError:  # No build of it for this platform.
    helm = None

# The oldest that the chart takes, the newest known, and two between.
KUBERNETES = ["1.29", "1.30", "1.34", "1.37"]
# They have no schema here; their parts are held to the pods and to promtool.
CUSTOM = {"PodMonitor", "PrometheusRule"}
DRAIN_SECONDS = 10

root, out, programs = (Path(word) for word in sys.argv[1:4])
write = "--write" in sys.argv
deploy = root / "deploy"
chart = deploy / "helm/ci-bridge"
findings = []
configs = []
invocations = []


def finding(where, what):
    findings.append(f"{where}: {what}")


def expect(holds, where, what):
    if not holds:
        finding(where, what)


def load(path):
    return yaml.safe_load(path.read_text())


# --- values and their table -------------------------------------------------------------------------------------------------


def table():
    """A row for each `# --` line of values.yaml, with the key that follows it."""
    rows, path, about = ["| value | default | is |", "|---|---|---|"], [], None
    values = load(chart / "values.yaml")
    for line in (chart / "values.yaml").read_text().splitlines():
        comment = re.match(r"\s*# -- (.*)", line)
        key = re.match(r"( *)(\w+):", line)
        if comment:
            about = comment[1]
        elif key:
            path = path[: len(key[1]) // 2] + [key[2]]
            value = values
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if about:
                rows.append(f"| `{'.'.join(path)}` | `{json.dumps(value)}` | {about} |")
            elif not isinstance(value, dict):
                documented = any(f"`{'.'.join(path[:n])}`" in row for row in rows for n in range(1, len(path)))
                expect(documented, "values.yaml", f"{'.'.join(path)} has no `# --` line")
            about = None
    return "\n".join(rows)


def readme():
    path = chart / "README.md"
    text = path.read_text()
    begin, end = "<!-- values: begin -->\n", "<!-- values: end -->"
    head, rest = text.split(begin)
    new = head + begin + table() + "\n" + end + rest.split(end)[1]
    if write:
        path.write_text(new)
    elif new != text:
        finding("helm/ci-bridge/README.md", "its table is not that of values.yaml: cargo xtask deploy-check --write")


# --- rendering --------------------------------------------------------------------------------------------------------------


def refused(values, word):
    """A mistake in values must be refused, by schema or template, with that word."""
    try:
        with helm.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            loaded.render(values, name="t")
    except Exception as error:
        expect(word in str(error), "helm/ci-bridge", f"{values} is refused, but not for {word}: {error}")
    else:
        finding("helm/ci-bridge", f"{values} is not refused")


def render(path, values, name):
    for version in KUBERNETES:
        report = helm.lint(path, values, strict=True, kube_version=f"v{version}.0")
        problems = [m["error"] for m in report["messages"] if m["severity"] > 1] + report["errors"]
        for problem in problems:
            finding(f"{name}, helm lint for {version}", problem)
    with helm.Chart.load(path) as loaded:
        loaded.validate_schema(values)
        rendered = loaded.render(values, name=name, namespace="media")
    documents = []
    for template, text in rendered.items():
        if template.endswith("NOTES.txt"):
            expect("{{" not in text and "<nil>" not in text, template, f"is not filled in: {text}")
        else:
            documents += [d for d in yaml.safe_load_all(text) if d]
    used = {template.split("/templates/")[-1] for template, text in rendered.items() if text.strip()}
    return documents, used


def charts():
    used = set()
    files = sorted((chart / "ci").glob("*-values.yaml"))
    expect(len(files) >= 4, "helm/ci-bridge/ci", f"only {len(files)} values files")
    for file in files:
        documents, templates = render(chart, load(file), file.stem.removesuffix("-values"))
        used |= templates
        judge(f"helm/ci-bridge with {file.name}", documents)
        for rule in (d for d in documents if d["kind"] == "PrometheusRule"):
            (out / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    everything = {str(p.relative_to(chart / "templates")) for p in (chart / "templates").rglob("*.*")} - {"_helpers.tpl"}
    for template in sorted(everything - used):
        finding("helm/ci-bridge", f"no values file renders templates/{template}")
    tokens = {"tokensSecret": {"name": "t"}}
    refused({}, "tokensSecret")
    refused({"callbacks": {**tokens, "prot": 1}}, "prot")
    refused({"callbacks": tokens, "readinessPath": "/ready"}, "readinessPath")
    refused({"callbacks": tokens, "ingress": {"enabled": True}}, "ingress.host")
    # The parent of a sidecar, with the chart where `helm dependency build` would put it.
    app = out / "example-app"
    shutil.copytree(deploy / "helm/example-app", app)
    shutil.copytree(chart, app / "charts/ci-bridge")
    documents, _ = render(app, {}, "app")
    judge("helm/example-app", documents)
    expect(sum(map(sidecars, documents)) == 1, "helm/example-app", "has no sidecar")


def kustomization():
    folder = deploy / "kustomize/sidecar"
    built = subprocess.run([programs / "kubectl", "kustomize", folder], capture_output=True, text=True)
    if built.returncode != 0:
        return finding("kustomize/sidecar", built.stderr)
    documents = list(yaml.safe_load_all(built.stdout))
    judge("kustomize/sidecar", documents)
    expect(sum(map(sidecars, documents)) == 1, "kustomize/sidecar", "has no sidecar")


# --- judging ----------------------------------------------------------------------------------------------------------------


def pod_of(document):
    if document["kind"] == "Pod":
        return document["metadata"], document["spec"]
    template = document.get("spec", {}).get("template") if document["kind"] in ("StatefulSet", "Deployment") else None
    return (template["metadata"], template["spec"]) if template else None


def sidecars(document):
    _, pod = pod_of(document) or ({}, {})
    return sum(c.get("restartPolicy") == "Always" for c in pod.get("initContainers", []))


def judge(where, documents):
    expect(documents, where, "renders nothing")
    for document in documents:
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(map(str, error.path))
                finding(f"{where}, {document['kind']} for Kubernetes {version}", f"{path}: {error.message}")
            except kubernetes_validate.SchemaNotFoundError as error:
                expect(document["kind"] in CUSTOM, where, error.message)
        expect(document["kind"] != "Secret", where, "makes a Secret: they are referred to, never rendered")
    selectors(where, documents)
    for document in documents:
        if pod_of(document):
            pod_rules(f"{where}, {document['kind']}", document, documents)


def selectors(where, documents):
    pods = [pod_of(d) for d in documents if d["kind"] == "StatefulSet"]
    for document in documents:
        spec = document.get("spec", {})
        selector = {
            "Service": lambda: spec["selector"],
            "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
            "PodMonitor": lambda: spec["selector"]["matchLabels"],
        }.get(document["kind"])
        if not selector:
            continue
        chosen = [pod for metadata, pod in pods if selector().items() <= metadata["labels"].items()]
        expect(len(chosen) == 1, where, f"{document['kind']} selects {len(chosen)} pod templates")
        names = {p["name"] for pod in chosen for c in pod["containers"] for p in c.get("ports", [])}
        asked = [p["targetPort"] for p in spec.get("ports", [])]
        asked += [p["port"] for p in spec.get("podMetricsEndpoints", [])]
        asked += [p["port"] for rule in spec.get("ingress", []) for p in rule["ports"]]
        for port in asked:
            expect(port in names, where, f"{document['kind']} asks for port {port}, of {sorted(names)}")


def pod_rules(where, document, documents):
    _, pod = pod_of(document)
    expect(pod.get("automountServiceAccountToken") is False, where, "mounts a service account's token")
    expect(pod.get("enableServiceLinks") is False, where, "has service links")
    context = pod.get("securityContext", {})
    expect(context.get("runAsNonRoot") is True, where, "may run as root")
    expect(context.get("seccompProfile") == {"type": "RuntimeDefault"}, where, "has no seccomp profile")
    expect(context.get("fsGroup"), where, "has no fsGroup: a new volume is root's")
    claims = {c["metadata"]["name"] for c in document["spec"].get("volumeClaimTemplates", [])}
    volumes = {v["name"] for v in pod.get("volumes", [])} | claims
    for container in pod.get("initContainers", []) + pod["containers"]:
        name = f"{where}, container {container['name']}"
        context = container.get("securityContext", {})
        expect(context.get("allowPrivilegeEscalation") is False, name, "may gain privileges")
        expect(context.get("readOnlyRootFilesystem") is True, name, "may write to its image")
        expect(context.get("capabilities") == {"drop": ["ALL"]}, name, "keeps capabilities")
        expect(container.get("terminationMessagePolicy") == "FallbackToLogsOnError", name, "dies without a word")
        mounts = container.get("volumeMounts", [])
        for mount in mounts:
            expect(mount["name"] in volumes, name, f"mounts {mount['name']}, which is no volume")
            expect("subPath" not in mount, name, f"mounts {mount['name']} by subPath: a change is not seen")
        # The example's application has an image, a command line and an end of its own.
        if str(container["image"]).startswith("ci-bridge:"):
            bridge_rules(name, document, container, documents)


def bridge_rules(where, document, container, documents):
    _, pod = pod_of(document)
    folders = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    file = Path(container["args"][-1])
    volume = next((v for v in pod["volumes"] if v["name"] == folders.get(str(file.parent))), {})
    maps = [d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"] == volume.get("configMap", {}).get("name")]
    if not maps or file.name not in maps[0]["data"]:
        return finding(where, f"{file} is in no ConfigMap")
    text = maps[0]["data"][file.name]
    config(where, text)
    invocations.append([where, *container["args"]])
    for path in re.findall(r'"(/[^"]+)"', text):
        under = [folder for folder in folders if path.startswith(f"{folder}/")]
        expect(under or path.startswith("/ci/"), where, f"{path} is under no mount")
    if document["kind"] == "Pod":
        return
    if text.count("[spool]\nenabled = true"):
        expect("ci-bridge-spool" not in {v["name"] for v in pod["volumes"]}, where, "the spool is on no claim")
    # Ports: what the configuration listens on, what the container names, what the probes ask for.
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    listens = [int(port) for port in re.findall(r'^listen = ".*:(\d+)"', text, re.M)]
    expect(listens == [ports["callbacks"], ports["ci-bridge-admin"]], where, f"listens on {listens}, names {ports}")
    expect(not re.search(r'^listen = "127\.', text, re.M), where, "listens where the kubelet cannot ask")
    sidecar = container.get("restartPolicy") == "Always"
    for probe in ("startupProbe", "livenessProbe"):
        asked = container.get(probe, {}).get("httpGet")
        expect(asked == {"path": "/livez", "port": "ci-bridge-admin"}, where, f"{probe} asks {asked}")
    readiness = container.get("readinessProbe", {}).get("httpGet", {})
    expect(("readinessProbe" in container) != sidecar, where, "a gateway has a readiness, a sidecar has none")
    expect(sidecar or readiness.get("port") == "ci-bridge-admin", where, f"readiness asks {readiness}")
    if not sidecar:
        expect(readiness.get("path", "").startswith("/readyz"), where, f"readiness asks {readiness}, which says nothing of callbacks")
    delay = re.search(r'^shutdown_delay = "(\d+)s"', text, re.M)
    delay = int(delay[1]) if delay else 0
    grace = pod.get("terminationGracePeriodSeconds", 30)
    expect(delay, where, "ends before proxies have heard of it: ingress.shutdown_delay is 0")
    expect(grace > delay + DRAIN_SECONDS, where, f"{grace} s of grace for {delay} s of delay and {DRAIN_SECONDS} s of drain")


# --- configurations and command lines --------------------------------------------------------------------------------------


def config(where, text):
    """As it is, but with files that are here: what is mounted there is made by deploy-check."""
    secrets = out / "secrets"
    text = re.sub(r'^creds_file = ".+"', 'creds_file = ""', text, flags=re.M)
    text = re.sub(r'^tokens_file = ".+"', f'tokens_file = "{secrets}/tokens"', text, flags=re.M)
    for key, name in (("cert", "tls.crt"), ("key", "tls.key"), ("client_ca", "tls.crt"), ("ca", "tls.crt")):
        text = re.sub(rf'^{key} = "/.+"', f'{key} = "{secrets}/{name}"', text, flags=re.M)
    file = out / f"config-{len(configs)}.toml"
    file.write_text(text)
    configs.append([where, str(file)])


def command_lines():
    dockerfile = (deploy / "Dockerfile").read_text()
    lines = {name: json.loads(words) for name, words in re.findall(r"^\s*(ENTRYPOINT|CMD) (\[.*\])$", dockerfile, re.M) if name}
    health = re.search(r"HEALTHCHECK .*\\\n\s*CMD (\[.*\])", dockerfile)
    expect(health and len(lines) == 2, "Dockerfile", "ENTRYPOINT, CMD and HEALTHCHECK are not as JSON")
    invocations.append(["Dockerfile, CMD", *lines["CMD"]])
    invocations.append(["Dockerfile, HEALTHCHECK", *json.loads(health[1])[1:]])
    file = lines["CMD"][-1]
    compose = load(deploy / "compose.yaml")
    bridge = compose["services"]["bridge"]
    invocations.append(["compose.yaml, healthcheck", *bridge["healthcheck"]["test"][2:]])
    for service in compose["services"].values():
        expect("healthcheck" in service and "logging" in service, "compose.yaml", "a service has no health check or log limit")
    expect(f"./ci-bridge.toml:{file}:ro" in bridge["volumes"], "compose.yaml", f"does not mount {file}")
    config("deploy/ci-bridge.toml", (deploy / "ci-bridge.toml").read_text())
    for key, place in (("tokens_file", "/run/secrets/ci_callback_tokens"), ("dir", "/var/lib/ci-bridge/spool")):
        expect(f'{key} = "{place}"' in (deploy / "ci-bridge.toml").read_text(), "ci-bridge.toml", f"{key} is not {place}")
    unit = (deploy / "systemd/ci-bridge.service").read_text()
    start = re.search(r"^ExecStart=/usr/bin/ci-bridge (.*)$", unit, re.M)
    invocations.append(["ci-bridge.service, ExecStart", *start[1].split()])
    text = (deploy / "systemd/ci-bridge.toml").read_text()
    config("systemd/ci-bridge.toml", text)
    config("systemd/ci-bridge.toml, all of it", re.sub(r"^# (\[|\w+ = )", r"\1", text, flags=re.M))
    for name in re.findall(r"/run/credentials/ci-bridge\.service/([\w.]+)", text):
        expect(re.search(rf"^#?LoadCredential={re.escape(name)}:", unit, re.M), "ci-bridge.service", f"loads no {name}")


# --- alerts and prose -------------------------------------------------------------------------------------------------------


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def alerts():
    rules = [r for g in load(chart / "files/ci-bridge.rules.yaml")["groups"] for r in g["rules"]]
    tests = (deploy / "prometheus/ci-bridge.rules.test.yaml").read_text()
    for rule in rules:
        name, book = rule["alert"], rule["annotations"]["runbook_url"]
        expect(f'alertname="{name}"' in tests, "ci-bridge.rules.test.yaml", f"does not raise {name}")
        file, _, anchor = book.partition("#")
        expect((root / file).is_file() and anchor in anchors(root / file), name, f"{book} leads nowhere")


def links():
    pages = [*deploy.rglob("*.md"), root / "docs/kubernetes.md", root / "docs/systemd.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            expect((page.parent / target).exists(), page.relative_to(root), f"links to {target}, which is not there")


readme()
if helm:
    charts()
kustomization()
command_lines()
alerts()
links()
for name, rows in (("configs", configs), ("invocations", invocations)):
    (out / name).write_text("".join("\t".join(row) + "\n" for row in rows))
for line in findings:
    print(line)
sys.exit(1 if findings else 0)
