"""Three members, promtool, and a Prometheus that scrapes them: see `run`."""

import argparse
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 60


def until(what, look):
    """Waits until `look` returns something."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            sys.exit(f"prometheus: never: {what}")
        time.sleep(0.1)
    return found


class Member:
    """A running member, with the addresses that it prints."""

    def __init__(self, binary, directory, name, *args):
        command = [binary, "run", "--listen", "127.0.0.1:0", "--http", "none", "--metrics", "127.0.0.1:0"]
        command += ["--timing", "local", "--name", name, "--data-dir", f"{directory}/{name}", *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines = (self.process.stdout.readline().split() for _ in range(2))
        self.addresses = dict(lines)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def queries():
    """Of the dashboard, with Grafana's variables as it fills them in."""
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "10s").replace("$instance", ".+")
            yield panel["title"], query


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    binary = parser.parse_args().binary
    running = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            check(binary, directory, running)
        finally:
            for process in running:
                process.kill()
                process.wait()


def check(binary, directory, running):
    def start(name, *args):
        member = Member(binary, directory, name, *args)
        running.append(member.process)
        return member

    amber = start("amber")
    others = [start(name, "--peer", amber.addresses["swim"]) for name in ("birch", "cedar")]
    members = [amber, *others]

    def ask(address, path):
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                return answer.read()
        except OSError:
            return None

    for member in members:
        until("a member is ready", lambda: ask(member.addresses["metrics"], "/readyz?alive=3"))
    text = ask(amber.addresses["metrics"], "/metrics")
    subprocess.run(["promtool", "check", "metrics"], input=text, check=True)
    print("prometheus: promtool finds nothing wrong")

    targets = [member.addresses["metrics"] for member in members]
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "butterfly", "static_configs": [{"targets": targets}]}],
    }
    # JSON is YAML.
    file = pathlib.Path(directory, "prometheus.yml")
    file.write_text(json.dumps(config))
    server = f"127.0.0.1:{free_port()}"
    log = open(f"{directory}/log", "w")
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory}/tsdb"]
    running.append(subprocess.Popen([*command, f"--web.listen-address={server}"], stdout=log, stderr=log))

    def query(text):
        answer = ask(server, "/api/v1/query?" + urllib.parse.urlencode({"query": text}))
        return json.loads(answer)["data"]["result"] if answer else []

    def up():
        found = query("up")
        return len(found) == 3 and all(row["value"][1] == "1" for row in found)

    until("Prometheus scrapes all three", up)
    kinds = json.loads(ask(server, "/api/v1/metadata"))["data"]
    ours = sorted(name for name in kinds if name.startswith(("butterfly_", "process_")) and name in text.decode())
    print(f"prometheus: scraped {len(ours)} families: {' '.join(ours)}")

    # Something for the panels about trouble to show: a death, and what is dropped.
    others[1].process.kill()
    host, port = amber.addresses["swim"].rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        asked = list(queries())
        until("a member is confirmed", lambda: query('butterfly_members{health="confirmed"} == 1'))
        for title, text in asked:

            def found():
                # Rates are of what happens now.
                stranger.sendto(b"nonsense", (host, int(port)))
                # What is shown only when it is bad is well when it is not there.
                return query(text) or (text.endswith(" > 0") and query(text.removesuffix(" > 0")))

            rows = until(f"{title}: {text} finds something", found)
            print(f"prometheus: {title}: {len(rows)} series")
    print(f"prometheus: all {len(asked)} queries of docs/grafana.json find series")


main()
