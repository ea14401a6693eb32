# Runs moto's server until stdin ends, so that it never outlives whoever started it.
import os, sys, threading


def watch():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=watch, daemon=True).start()

from moto.server import main

main(sys.argv[1:])
