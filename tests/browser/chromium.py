"""A headless Chromium, driven over the DevTools protocol through a pipe: no driver and no library is needed."""

import base64
import itertools
import json
import os
import pathlib
import select
import subprocess
import tempfile
import time

PATIENCE = 30
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe", "about:blank",
]


class Browser:
    """The browser itself: commands out, answers and events in, each a line of JSON that ends with a zero byte."""

    def __init__(self, program):
        self.profile = tempfile.TemporaryDirectory(prefix="butterfly-chromium-", ignore_cleanup_errors=True)
        to_read, self.to = os.pipe()
        self.of, to_write = os.pipe()

        def pipes():
            # Descriptors 3 and 4 are what Chromium reads and writes; these may be in the way of each other.
            high_read, high_write = os.dup(to_read), os.dup(to_write)
            os.dup2(high_read, 3)
            os.dup2(high_write, 4)

        self.process = subprocess.Popen(
            [program, f"--user-data-dir={self.profile.name}", *FLAGS], close_fds=False, preexec_fn=pipes,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self.numbers = itertools.count(1)
        self.rest = b""
        self.answers = {}
        self.tabs = {}

    def read(self, patience):
        """Takes what has come, and waits for it as long as that."""
        if select.select([self.of], [], [], patience)[0]:
            data = os.read(self.of, 1 << 20)
            if not data:
                raise RuntimeError("chromium has ended")
            *messages, self.rest = (self.rest + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self.answers[message["id"]] = message
                elif message.get("sessionId") in self.tabs:
                    self.tabs[message["sessionId"]].heard(message["method"], message["params"])

    def call(self, method, session=None, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while number not in self.answers:
            if time.monotonic() > end:
                raise RuntimeError(f"no answer to {method}")
            self.read(0.1)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def tab(self, **kind):
        return Tab(self, **kind)

    def close(self):
        try:
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()


class Tab:
    """A page in a context of its own, so that it shares no storage with others."""

    def __init__(self, browser, width=1280, height=900, dark=False, mobile=False, scale=1):
        self.browser = browser
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        browser.tabs[self.session] = self
        self.target = target
        #: What the console said that is no success: errors, warnings, violations of the policy.
        self.complaints = []
        self.requests = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height, mobile, scale)
        self.look(dark)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def resize(self, width, height, mobile=False, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def look(self, dark):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def heard(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(it.get("value", it.get("description"))) for it in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def js(self, expression):
        """The value of an expression, awaited if it is a promise."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def until(self, what, expression, patience=PATIENCE):
        end = time.monotonic() + patience
        while True:
            value = self.js(expression)
            # A node has no value of its own.
            if value or value == {}:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"never: {what} ({expression})\n{self.js('document.body.innerText.slice(0, 3000)')}\n{self.complaints}")
            self.browser.read(0.05)

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")

    def key(self, key, text=None):
        code = {"Escape": 27, "ArrowDown": 40, "Enter": 13}.get(key, ord(key[0].upper()))
        params = {"key": key, "windowsVirtualKeyCode": code}
        if text or len(key) == 1:
            params["text"] = text or key
        self.call("Input.dispatchKeyEvent", type="keyDown", **params)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def click(self, selector):
        """Presses the mouse in the middle of it, as a person would."""
        where = f"""(() => {{
            const it = document.querySelector({json.dumps(selector)});
            it?.scrollIntoView({{ block: "center", behavior: "instant" }});
            const box = it?.getBoundingClientRect();
            return box && box.width && [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        before, box = None, self.until(f"{selector} is there", where)
        # A person, too, waits until it stands still.
        while box != before:
            self.js("new Promise((done) => setTimeout(done, 80))")
            before, box = box, self.until(f"{selector} is there", where)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def picture(self, path, of=None):
        """What is in view, or one part of it."""
        params = {"format": "png"}
        if of:
            box = self.js(f"(({{ x, y, width, height }}) => ({{ x, y, width, height }}))(document.querySelector({json.dumps(of)}).getBoundingClientRect())")
            params["clip"] = {**box, "scale": 1}
        data = self.call("Page.captureScreenshot", **params)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        self.browser.tabs.pop(self.session, None)
