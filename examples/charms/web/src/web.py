#!/usr/bin/env python3
"""Serve one page that greets its visitor, from a settings file that is read again for each request."""
import json
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SETTINGS = sys.argv[1]


def settings():
    with open(SETTINGS) as f:
        return json.load(f)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, text = self.page()
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Unit", settings()["unit"])
        self.end_headers()
        self.wfile.write(body)

    def page(self):
        s = settings()
        if not s.get("store"):
            return 503, "there is no store to count visits with\n"
        try:
            ask = urllib.request.Request(s["store"] + "/visits/front", data=b"", method="POST")
            with urllib.request.urlopen(ask, timeout=5) as answer:
                visits = int(answer.read())
        except OSError as e:
            return 502, f"the store at {s['store']} does not answer: {e}\n"
        return 200, f"{s['greeting']} from {s['unit']}, you are visitor {visits}\n"

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    s = settings()
    Server((s["address"], s["port"]), Handler).serve_forever()
