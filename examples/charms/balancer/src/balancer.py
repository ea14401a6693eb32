#!/usr/bin/env python3
"""Send each GET to the next backend in turn, or to another one when that does not answer.

The backends, host:port a line, are read again from the file for each request.
"""
import http.client
import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS, PORT, BACKENDS = sys.argv[1], int(sys.argv[2]), sys.argv[3]
TURN = itertools.count()


def backends():
    with open(BACKENDS) as f:
        return f.read().split()


def ask(backend, path):
    host, port = backend.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        conn.request("GET", path)
        answer = conn.getresponse()
        return answer.status, answer.getheader("Content-Type", "text/plain"), answer.read()
    finally:
        conn.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, kind, body = self.answer()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        found, last = backends(), None
        first = next(TURN)
        for i in range(len(found)):
            try:
                last = ask(found[(first + i) % len(found)], self.path)
                if last[0] < 500:
                    return last
            except (OSError, http.client.HTTPException) as e:
                last = 502, "text/plain", f"no backend answers: {e}\n".encode()
        return last or (503, "text/plain", b"there are no backends\n")

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Server((ADDRESS, PORT), Handler).serve_forever()
