#!/usr/bin/env python3
"""Count visits: POST /visits/NAME adds one and answers with the number, GET only answers.

The numbers are in one JSON file, written whole to a temporary file and renamed, so that a reader
never sees half of it and a crash loses at most the visit being counted.
"""
import argparse
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Counts:
    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        try:
            with open(path) as f:
                self.numbers = json.load(f)
        except FileNotFoundError:
            self.numbers = {}

    def get(self, name):
        with self.lock:
            return self.numbers.get(name, 0)

    def add(self, name):
        with self.lock:
            self.numbers[name] = self.numbers.get(name, 0) + 1
            with open(self.path + ".new", "w") as f:
                json.dump(self.numbers, f)
            os.replace(self.path + ".new", self.path)
            return self.numbers[name]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def name(self):
        return self.path[len("/visits/"):] if self.path.startswith("/visits/") else None

    def do_GET(self):
        if self.name() is None:
            return self.answer(404, "no such page: use /visits/NAME")
        self.answer(200, str(self.server.counts.get(self.name())))

    def do_POST(self):
        if self.name() is None:
            return self.answer(404, "no such page: use /visits/NAME")
        self.answer(200, str(self.server.counts.add(self.name())))

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("address")
    p.add_argument("port", type=int)
    p.add_argument("file")
    a = p.parse_args()
    server = Server((a.address, a.port), Handler)
    server.counts = Counts(a.file)
    server.serve_forever()
