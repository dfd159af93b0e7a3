"""Folders of data, and mirrors on this machine."""

import http.server
import threading

import pytest


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """Leave no data on this machine: the cache is empty, and no folder is named."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ANYNET_DATA_DIR", raising=False)
    monkeypatch.delenv("ANYNET_OFFLINE", raising=False)


@pytest.fixture
def serve():
    """Return a function that serves a folder, and returns the address and a list of requests."""
    pytest.importorskip("pooch", reason="fetching needs pooch")
    servers = []

    def start(folder):
        asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(folder))

            def do_GET(self):
                asked.append(self.path)
                super().do_GET()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
