"""A local page with sliders: the preview follows the mouse, the full picture is drawn when it rests.

Served by the standard library on 127.0.0.1 only; requests under another host's name are refused.

    GET /                        the page
    GET /directions              JSON: names, and the largest value
    GET /preview?NAME=VALUE…     PNG by the narrow sub-network; header X-Milliseconds
    GET /final?NAME=VALUE…       PNG by the full generator
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from torch import Tensor

from models.errors import ModelError
from models.gan.editing import MOST, EditSession

HOST = "127.0.0.1"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>perception style edit</title>
<style>body{font:15px sans-serif;margin:2em;display:flex;gap:2em}img{width:384px;image-rendering:pixelated}
label{display:block;margin:.4em 0}input{width:16em;vertical-align:middle}output{display:inline-block;width:3em}</style>
<div><img id="picture" alt="generated picture"><p id="told"></p></div>
<form id="sliders"><button type="reset">reset</button></form>
<script>
const form = document.getElementById("sliders"), picture = document.getElementById("picture");
const told = document.getElementById("told");
let busy = false, wanted = null;
function query() {
  const values = new URLSearchParams();
  for (const s of form.querySelectorAll("input")) if (Number(s.value)) values.set(s.name, s.value);
  return values.toString();
}
async function show(kind) {
  wanted = kind;
  if (busy) return;
  busy = true;
  while (wanted) {
    const now = wanted; wanted = null;
    const answer = await fetch("/" + now + "?" + query());
    if (!answer.ok) { told.textContent = await answer.text(); continue; }
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(await answer.blob());
    told.textContent = now + ", " + answer.headers.get("X-Milliseconds") + " ms";
  }
  busy = false;
}
fetch("/directions").then(a => a.json()).then(found => {
  for (const name of found.names) {
    const label = document.createElement("label"), slider = document.createElement("input");
    const value = document.createElement("output");
    Object.assign(slider, {type: "range", name, min: -found.most, max: found.most, step: 0.1, value: 0});
    value.textContent = "0";
    slider.oninput = () => { value.textContent = slider.value; show("preview"); };
    slider.onchange = () => show("final");
    label.append(slider, value, name);
    form.append(label);
  }
  show("final");
});
form.onreset = () => setTimeout(() => {
  for (const o of form.querySelectorAll("output")) o.textContent = "0";
  show("final");
});
</script></html>
"""


class StyleServer(ThreadingHTTPServer):
    """One picture being edited. port 0: a free one; `server_port` tells it."""

    daemon_threads = True

    def __init__(self, session: EditSession, ws: Tensor, port: int = 0):
        self.session, self.ws, self.lock = session, ws, threading.Lock()
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """The page's URL."""
        return f"http://{HOST}:{self.server_port}/"

    def draw(self, kind: str, values: dict[str, float]) -> tuple[bytes, float]:
        """(PNG, milliseconds of the generator) of "preview" or "final". One picture at a time."""
        import cv2

        with self.lock:
            begun = perf_counter()
            rgb = getattr(self.session, kind)(self.ws, values)
            took = 1e3 * (perf_counter() - begun)
        return cv2.imencode(".png", rgb[:, :, ::-1])[1].tobytes(), took


class _Handler(BaseHTTPRequestHandler):
    server: StyleServer

    def do_GET(self) -> None:
        """Answers one request."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):
            return self._send(403, "text/plain", f"this page is served to {HOST} only".encode())
        url = urlsplit(self.path)
        if url.path == "/":
            return self._send(200, "text/html; charset=utf-8", PAGE.encode())
        if url.path == "/directions":
            told = {"names": list(self.server.session.directions), "most": MOST}
            return self._send(200, "application/json", json.dumps(told).encode())
        if url.path not in ("/preview", "/final"):
            return self._send(404, "text/plain", b"no such page: expected /, /directions, /preview or /final")
        try:
            values = {name: float(value) for name, value in parse_qsl(url.query)}
            picture, took = self.server.draw(url.path[1:], values)
        except (ModelError, ValueError) as error:
            return self._send(400, "text/plain; charset=utf-8", str(error).encode())
        return self._send(200, "image/png", picture, {"X-Milliseconds": f"{took:.1f}"})

    def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """No line for each request."""
