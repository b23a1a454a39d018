"""A folder served over HTTP as Hadoop's WebHDFS does, for reading only.

Source: https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html. Spark
Spark has a client for it, unlike for object storage, and uses both in the same way: list, ask for a
status, read a range. As in Hadoop, a file's bytes are served at another address (a data node), to
which OPEN redirects.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_PREFIX = "/webhdfs/v1"
_NODE = "/data"


class Server(ThreadingHTTPServer):
    """Serves the files below a folder.

    Attributes:
        opened: paths of the files that were opened.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.opened: set[str] = set()

    @property
    def url(self) -> str:
        """Return the URL of the folder."""
        return f"webhdfs://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer an operation, or send a range of a file."""
        url = urlsplit(self.path)
        asked = {key.lower(): values[0] for key, values in parse_qs(url.query).items()}
        if url.path.startswith(_NODE):
            self._send_range(self._path(url.path.removeprefix(_NODE)), asked)
            return
        operation = asked["op"].upper()
        path = self._path(url.path.removeprefix(_PREFIX))
        if not path.exists():
            self._answer(
                {
                    "RemoteException": {
                        "exception": "FileNotFoundException",
                        "javaClassName": "java.io.FileNotFoundException",
                        "message": f"File does not exist: {url.path}",
                    }
                },
                HTTPStatus.NOT_FOUND,
            )
        elif operation == "GETFILESTATUS":
            self._answer({"FileStatus": _status(path, "")})
        elif operation == "LISTSTATUS":
            below = sorted(path.iterdir()) if path.is_dir() else [path]
            found = [_status(one, one.name if path.is_dir() else "") for one in below]
            self._answer({"FileStatuses": {"FileStatus": found}})
        elif operation == "GETFILEBLOCKLOCATIONS":
            self._answer({"BlockLocations": {"BlockLocation": []}})
        elif operation == "OPEN":
            self.server.opened.add(str(path))
            self.send_response(HTTPStatus.TEMPORARY_REDIRECT)
            host, port = self.server.server_address[:2]
            target = f"{_NODE}{url.path.removeprefix(_PREFIX)}?{url.query}"
            self.send_header("Location", f"http://{host!s}:{port}{target}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._answer({"RemoteException": {"message": operation}}, HTTPStatus.BAD_REQUEST)

    def _path(self, quoted: str) -> Path:
        return self.server.folder / unquote(quoted).lstrip("/")

    def _send_range(self, path: Path, asked: dict[str, str]) -> None:
        with path.open("rb") as stream:
            stream.seek(int(asked.get("offset", 0)))
            data = stream.read(int(asked.get("length", -1)))
        self._reply(data, HTTPStatus.OK)

    def _answer(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._reply(json.dumps(value).encode(), status)

    def _reply(self, data: bytes, status: HTTPStatus) -> None:
        # Without a Content-Type, since Spark's jars lack what Hadoop's client needs to parse one.
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _status(path: Path, name: str) -> dict[str, Any]:
    of = path.stat()
    return {
        "accessTime": 0,
        "blockSize": 128 << 20,
        "childrenNum": 0,
        "fileId": of.st_ino,
        "group": "g",
        "length": 0 if path.is_dir() else of.st_size,
        "modificationTime": int(of.st_mtime * 1000),
        "owner": "o",
        "pathSuffix": name,
        "permission": "755",
        "replication": 1,
        "storagePolicy": 0,
        "type": "DIRECTORY" if path.is_dir() else "FILE",
    }


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Serve a folder while the block runs."""
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
