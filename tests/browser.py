"""A headless Chromium, driven over its DevTools protocol with the WebSocket client that the
Kubernetes package brings along: no driver, no download, no further dependency."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from websocket import WebSocket, create_connection

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The browser that MRAY_CHROMIUM names, or the first on the PATH."""
    wanted = os.environ.get("MRAY_CHROMIUM")
    return wanted or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One Chromium process with one page."""

    def __init__(self, program: str, profile: Path) -> None:
        self.process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.events: list[dict[str, Any]] = []
        self.count = 0
        self.socket = self._connected(profile / "DevToolsActivePort")
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def _connected(self, port_file: Path) -> WebSocket:
        deadline = time.monotonic() + 30
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert self.process.poll() is None, "Chromium ended before it listened"
            assert time.monotonic() < deadline, "Chromium did not listen within 30 s"
            time.sleep(0.05)
        port, path = port_file.read_text().split("\n")[:2]
        socket = create_connection(f"ws://127.0.0.1:{port}{path}", suppress_origin=True, timeout=30)
        self.socket, self.session = socket, ""
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        return socket

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command; events that come meanwhile are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.count:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def js(self, expression: str) -> Any:
        """The JSON value of an expression in the page; promises are awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 8) -> None:
        """Wait for the expression to become true in the page."""
        deadline = time.monotonic() + seconds
        while not self.js(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.04)

    def open(
        self, page: Path | str, width: int = 1280, height: int = 800, *, scale: float = 1,
        mobile: bool = False, scheme: str = "light",
    ) -> None:  # fmt: skip
        self.send("Page.navigate", url="about:blank")
        self.until("document.readyState === 'complete' && location.href === 'about:blank'")
        self.events.clear()
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=mobile,
        )  # fmt: skip
        self.send("Emulation.setTouchEmulationEnabled", enabled=mobile)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def key(self, key: str, *, shift: bool = False) -> None:
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}
        params = {"key": key, "code": key, "modifiers": 8 if shift else 0}
        params["windowsVirtualKeyCode"] = codes.get(key, ord(key[0]))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **params)
        self.send("Input.dispatchKeyEvent", type="keyUp", **params)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], *, shift: bool = False
    ) -> None:
        modifiers = 8 if shift else 0
        self.mouse("mousePressed", *start, button="left", clickCount=1, modifiers=modifiers)
        for step in (0.3, 0.7, 1):
            x, y = (a + (b - a) * step for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self.send("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    def centre(self, selector: str) -> tuple[float, float]:
        x, y = self.js(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        return x, y

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Every console error, exception and failed request since the page was opened."""
        self.js("1")
        told = []
        for event in self.events:
            params = event.get("params", {})
            match event.get("method"):
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    told.append(params["entry"]["text"])
                case "Runtime.exceptionThrown":
                    told.append(str(params["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                    told.append(str(params["args"]))
                case "Network.loadingFailed" if not params.get("canceled"):
                    told.append(params["errorText"])
        return told

    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        self.js("1")
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [each["params"]["request"]["url"] for each in sent]

    def close(self) -> None:
        self.session = ""
        self.send("Browser.close")
        self.socket.close()
        self.process.wait(timeout=20)
