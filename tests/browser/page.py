"""What a person sees on the page of a real ring: see `run`."""

import argparse
import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from chromium import Browser

PATIENCE = 30
GROUP = "redis.default"
NAMES = ["birch", "cedar", "dune", "ember", "fern", "grove"]
#: A name that would do something if it were markup.
HOSTILE = "<img src=x onerror=alert(1)>"


class Member:
    """A running member. One that starts again with the same addresses is the same for its page."""

    def __init__(self, binary, name, *more, peer=None, listen="127.0.0.1:0", http="127.0.0.1:0"):
        words = [binary, "run", "--listen", listen, "--http", http, "--name", name, *more]
        words += ["--peer", peer.swim] if peer else []
        self.binary, self.name = binary, name
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        addresses = {}
        while not {"swim", "http"} <= addresses.keys():
            line = self.process.stdout.readline()
            check(line, f"{name} did not start: {' '.join(words)}")
            kind, _, address = line.strip().partition(" ")
            addresses[kind] = address.split()[0]
        self.swim, self.http = addresses["swim"], addresses["http"].removeprefix("http://").rstrip("/")
        self.url = f"http://{self.http}/"

    def command(self, *words, stdin=None):
        done = subprocess.run([self.binary, *words, "--http", self.http], input=stdin, capture_output=True, text=True, timeout=PATIENCE)
        check(done.returncode == 0, f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def kill(self):
        self.process.kill()
        self.process.wait()


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def get(url, token=None, **headers):
    request = urllib.request.Request(url, headers={**headers, **({"Authorization": f"Bearer {token}"} if token else {})})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read(), answer.headers


class Test:
    def __init__(self, args):
        self.binary = args.binary
        self.pictures = pathlib.Path(args.pictures)
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.members = {}
        self.directory = tempfile.TemporaryDirectory(prefix="butterfly-page-")
        self.browser = Browser("chromium")

    def start(self, name, *more, **places):
        peer = next(iter(self.members.values()), None)
        self.members[name] = Member(self.binary, name, *more, peer=peer, **places)
        return self.members[name]

    def shot(self, tab, name, **how):
        tab.picture(self.pictures / f"{name}.png", **how)

    def close(self):
        self.browser.close()
        for member in self.members.values():
            member.kill()
        self.directory.cleanup()

    def quiet(self, tab, *, besides=()):
        """The console has said nothing, and the page has asked nobody but its gateway."""
        tab.js("new Promise((done) => setTimeout(done, 100))")
        complaints = [it for it in tab.complaints if not any(word in it for word in besides)]
        check(not complaints, f"the console says: {complaints}")

    def ring(self):
        """Six members with services, a leader and a configuration."""
        disk = pathlib.Path(self.directory.name) / "amber"
        amber = self.start("amber", "--data-dir", str(disk))
        for name in NAMES:
            self.start(name)
        amber.command("status", "--wait", f"alive={len(self.members)}")
        for name in NAMES[:4]:
            self.members[name].command("service", "add", GROUP, "--pkg", "acme/redis/7.2.1/20260101000000")
        self.members["birch"].command("config", "apply", GROUP, "-", stdin="port = 6380\n")
        for name in NAMES[:4]:
            self.members[name].command("election", "start", GROUP)
        return amber

    def a_ring_at_a_glance(self, amber):
        text, headers = get(amber.url, Accept="text/html,*/*")
        check(len(text) <= 60 << 10, f"{len(text)} bytes")
        check("unsafe" not in headers["Content-Security-Policy"], headers["Content-Security-Policy"])
        check(json.loads(get(amber.url)[0])["routes"], "programs are told what there is")
        print(f"browser: the page has {len(text)} bytes")

        tab = self.browser.tab(width=1180, height=800)
        tab.open(amber.url)
        alive = len(self.members)
        tab.until("all are alive", f"document.querySelector('#tile-alive b')?.innerText === '{alive}'")
        tab.until("it is live", "document.querySelector('#live')?.innerText === 'live'")
        tab.until("the ring says so", f"document.querySelector('#ring').ariaLabel.includes('{alive} alive')")
        tab.until("the election is decided", "document.querySelector('[data-group] .badge')?.innerText === 'decided'")
        tab.until("its reason is there", "/won it with suitability 0/.test(document.querySelector('[data-group]').innerText)")
        tab.until("the configuration is listed", "document.querySelector('#rumors').innerText.includes('configuration')")
        tab.until("the log has the leader", "document.querySelector('#events [data-kind=leader]')")
        tab.js("window.isTheSamePage = true")
        return tab

    def a_killed_member(self, tab):
        """Suspect, by whom, for how long; then confirmed, and why."""
        self.members.pop("grove").kill()
        tab.until("one is suspect", "document.querySelector('#tile-suspect b').innerText === '1'")
        tab.until("by whom, and how long yet", "/grove[^]*[0-9.]+ s left[^]*Suspected by \\w+/.test(document.querySelector('#details').innerText)")
        tab.until("the ring tells it", "document.querySelector('#ring').ariaLabel.includes('grove is suspect')")
        self.shot(tab, "suspect")
        tab.until("it is confirmed", "document.querySelector('#tile-confirmed b').innerText === '1'")
        tab.until("with the reason", "/grove[^]*confirmed[^]*its process ended/.test(document.querySelector('[data-member]')?.innerText)")
        tab.until("the log has both", "['suspect', 'confirmed'].every((it) => document.querySelector(`#events [data-kind=${it}]`)?.innerText.includes('grove'))")

    def a_keyboard(self, tab):
        tab.key("/")
        tab.type("gro")
        tab.until("the table has only that one", "[...document.querySelectorAll('#body tr[role=row]')].map((it) => it.cells[0].innerText).join() === 'grove'")
        tab.key("Enter")
        tab.until("its details are there", "document.querySelector('#details h2').innerText === 'grove'")
        tab.until("why", "document.querySelector('#because')?.innerText.includes('Most likely, its process ended')")
        tab.until("the chain", "document.querySelectorAll('#details .chain li').length > 1")
        tab.look(True)
        dark = tab.until("it is dark", "getComputedStyle(document.body).backgroundColor")
        self.shot(tab, "why")
        tab.key("Escape")
        tab.until("nobody is selected", "document.querySelector('#details h2').innerText === 'Trouble now' && document.querySelector('#search').value === ''")
        tab.key("j")
        first = tab.until("one is selected", "document.querySelector('#body tr[aria-selected=true]')?.cells[0].innerText")
        tab.js("document.querySelector('#table').focus()")
        tab.key("ArrowDown")
        tab.until("the next one is", f"![undefined, {json.dumps(first)}].includes(document.querySelector('#body tr[aria-selected=true]')?.cells[0].innerText)")
        tab.key("Escape")
        tab.look(False)
        light = tab.until("it is light", "getComputedStyle(document.body).backgroundColor")
        check(light != dark, f"light and dark are the same: {light}")
        tab.js("[...document.querySelectorAll('#spans button')].at(-1).click()")
        tab.click("#healths button[data-health=confirmed]")
        tab.until("a filter", "document.querySelectorAll('#body tr[role=row]').length === 1")
        tab.click("#healths button[data-health='']")

    def a_restart(self, tab, amber):
        """The page notices that the member ends and is back, and is not loaded anew."""
        self.quiet(tab)
        events = tab.js("document.querySelectorAll('#events li').length")
        amber.kill()
        tab.until("it says so", "!document.querySelector('#banner').hidden && document.querySelector('#live').innerText === 'no answer'")
        disk = pathlib.Path(self.directory.name) / "amber"
        peer = self.members["birch"]
        self.members["amber"] = Member(self.binary, "amber", "--data-dir", str(disk), peer=peer, listen=amber.swim, http=amber.http)
        tab.until("it is live again", "document.querySelector('#banner').hidden && document.querySelector('#live').innerText === 'live'")
        tab.until("it knows its ring", f"document.querySelector('#tile-alive b').innerText === '{len(self.members)}'")
        check(tab.js("window.isTheSamePage"), "it was loaded anew")
        check(tab.js("document.querySelectorAll('#events li').length") >= events, "events were lost")
        # That nobody answers, the browser itself says.
        self.quiet(tab, besides=("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE"))
        own = tab.js("location.origin")
        check(all(it.startswith((own, "data:")) for it in tab.requests), f"it asked others: {set(tab.requests)}")
        tab.close()

    def a_phone(self, amber):
        tab = self.browser.tab(width=390, height=844, mobile=True)
        tab.open(amber.url)
        tab.until("it is live", "document.querySelector('#live')?.innerText === 'live'")
        tab.until("all are there", f"document.querySelector('#tile-alive b').innerText === '{len(self.members)}'")
        wide = tab.js("[...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > innerWidth + 1 && !it.closest('.hide, .rows, .table, .list')).map((it) => it.id || it.className)")
        check(not wide and tab.js("document.documentElement.scrollWidth <= innerWidth"), f"wider than the phone: {wide}")
        tab.js("scrollTo(0, 0)")
        self.shot(tab, "phone")
        self.quiet(tab)
        tab.close()

    def names_are_text(self, amber):
        self.start(HOSTILE, "--tag", f"zone={HOSTILE}")
        tab = self.browser.tab(width=1180, height=800, dark=True)
        tab.open(amber.url)
        tab.until("the name is shown as it is", f"document.querySelector('#body')?.innerText.includes({json.dumps(HOSTILE)})")
        tab.js(f"[...document.querySelectorAll('#body tr[role=row]')].find((it) => it.innerText.includes('onerror')).click()")
        tab.until("in the details, too", f"document.querySelector('#details h2').innerText === {json.dumps(HOSTILE)}")
        tab.until("with its tags", f"document.querySelector('#details').innerText.includes('zone=' + {json.dumps(HOSTILE)})")
        check(tab.js("document.images.length") == 0, "it became markup")
        self.quiet(tab)
        # The policy holds: what is not in the page does not run.
        tab.js("document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.isForeign = true' }))")
        check(tab.js("window.isForeign === undefined"), "a foreign script ran")
        tab.until("the browser says so", "true")
        check(any("Content Security Policy" in it for it in tab.complaints), tab.complaints)
        tab.close()

    def a_token(self):
        """Asked for once, kept in the tab, never in a URL; one for reading changes nothing, and the full one only when confirmed."""
        files = {}
        for name in ("full", "read"):
            files[name] = pathlib.Path(self.directory.name) / name
            files[name].write_text(f"the-{name}-token-of-amber\n")
            files[name].chmod(0o600)
        guarded = self.start("heath", "--http-token-file", str(files["full"]), "--http-read-token-file", str(files["read"]))
        blocked = lambda: json.loads(get(guarded.url + "v1/status", "the-full-token-of-amber")[0])["blocked"]

        def open_with(*tokens):
            tab = self.browser.tab(width=1180, height=800)
            tab.open(guarded.url)
            for number, text in enumerate(tokens):
                tab.until("it asks for the token", "document.querySelector('#token')?.open")
                if number:
                    tab.until("it says that the last one was wrong", "document.querySelector('#token-why').innerText.includes('not its token')")
                tab.type(text)
                tab.key("Enter", "\r")
            tab.until("the last one is taken", "!document.querySelector('#token').open")
            tab.until("it is live", "document.querySelector('#live').innerText === 'live'")
            return tab

        tab = open_with("wrong", "the-read-token-of-amber")
        tab.open(guarded.url)
        tab.until("this tab still has it", "document.querySelector('#live')?.innerText === 'live' && !document.querySelector('#token').open")
        check(not any("token-of" in it for it in tab.requests), "the token was in a URL")
        check(tab.js("Object.keys(localStorage).length === 0 && document.cookie === ''"), "it is kept elsewhere")

        def block(tab, answer):
            tab.js("[...document.querySelectorAll('#body tr[role=row]')].find((it) => it.cells[0].innerText === 'fern').click()")
            # Only then does nothing move any more.
            tab.until("its details are whole", "document.querySelector('#because')")
            tab.click("[data-act=block]")
            tab.until("it asks", "document.querySelector('#confirm').open && document.querySelector('#confirm-title').innerText === 'Ignore fern?'")
            tab.click(f"#confirm button[value={answer}]")
            tab.until("it is answered", "!document.querySelector('#confirm').open")

        tab.until("fern is there", "document.querySelector('#body').innerText.includes('fern')")
        block(tab, "yes")
        tab.until("the gateway's words", "document.querySelector('#banner').innerText.includes('that token is for reading')")
        check(blocked() == [], "a token for reading changed something")
        tab.close()

        tab = open_with("the-full-token-of-amber")
        tab.until("fern is there", "document.querySelector('#body').innerText.includes('fern')")
        block(tab, "no")
        check(blocked() == [], "it was not confirmed")
        block(tab, "yes")
        tab.until("it can be undone", "document.querySelector('[data-act=unblock]')")
        check(len(blocked()) == 1, "it was confirmed")
        tab.click("[data-act=departforgood]")
        tab.until("it asks for the name", "document.querySelector('#confirm-yes').disabled")
        self.shot(tab, "confirm")
        tab.key("Escape")
        self.quiet(tab, besides=("401 (Unauthorized)",))
        tab.close()

    def a_thousand(self, amber):
        """The same page with the rows of a thousand members, of which three are suspect: it stays quick."""
        rows = [
            {
                "id": f"{number:032x}", "name": f"web-{number}", "address": f"10.0.{number // 250}.{number % 250}", "swim_port": 9638,
                "gossip_port": 9638, "health": "suspect" if number % 333 == 1 else "confirmed" if number % 97 == 5 else "alive", "incarnation": number % 5,
                "persistent": False, "self": number == 0, "rtt_us": 90 + (number * 7919) % 40_000, "since_ms": 1_000 + number * 997 % 250_000,
                **({"suspected_by": [f"{number + 7:032x}", f"{number + 400:032x}"], "evidence": "silent", "suspicion_left_ms": 9_000} if number % 333 == 1 else {}),
            }
            for number in range(1_000)
        ]
        tab = self.browser.tab(width=1180, height=800)

        def answer(method, params, heard=tab.heard):
            heard(method, params)
            if method == "Fetch.requestPaused":
                body = base64.b64encode(json.dumps(rows).encode()).decode()
                pending.append((params["requestId"], body))

        pending = []
        tab.heard = answer
        tab.call("Fetch.enable", patterns=[{"urlPattern": "*/v1/members*"}])
        tab.open(amber.url)
        end = time.monotonic() + 9
        began = None
        while time.monotonic() < end:
            while pending:
                request, body = pending.pop()
                tab.call("Fetch.fulfillRequest", requestId=request, responseCode=200, body=body)
            if began is None and tab.js("document.querySelector('#tile-alive b')?.innerText") == "986":
                tab.call("Performance.enable")
                began = (time.monotonic(), self.busy(tab))
            self.browser.read(0.02)
        check(began, f"never: a thousand members: {tab.text('#tile-alive')} {tab.complaints}")
        share = (self.busy(tab) - began[1]) / (time.monotonic() - began[0])
        lines = tab.js("document.querySelectorAll('#body tr').length")
        check(lines < 60, f"{lines} lines in the table")
        print(f"browser: 1,000 members, 3 of them counted down: {share:.0%} of one core in the page")
        self.shot(tab, "thousand", of=".ring")
        check(share < 0.9, f"too slow: {share:.0%}")
        tab.key("/")
        began = time.monotonic()
        tab.type("web-77")
        tab.until("the filter", "document.querySelector('#shown').innerText.startsWith('11 of')")
        print(f"browser: a filter takes {1000 * (time.monotonic() - began):.0f} ms")
        self.quiet(tab)
        tab.close()

    @staticmethod
    def busy(tab):
        metrics = {it["name"]: it["value"] for it in tab.call("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--pictures", required=True)
    test = Test(parser.parse_args())
    try:
        amber = test.ring()
        tab = test.a_ring_at_a_glance(amber)
        test.a_killed_member(tab)
        test.a_keyboard(tab)
        test.a_restart(tab, amber)
        test.a_phone(amber)
        test.names_are_text(amber)
        test.a_token()
        test.a_thousand(amber)
    except AssertionError as error:
        sys.exit(f"browser: {error}")
    finally:
        test.close()
    print("browser: all passed")


if __name__ == "__main__":
    main()
