"""Answer over HTTP, with Python's own server: numpy and onnxruntime are enough.

``python serve.py student.onnx --port 8000``, and from elsewhere on the machine

    curl -d '{"rows": [[5.1, 3.5, 1.4, 0.2]]}' http://127.0.0.1:8000/predict

Rows are lists of numbers, or for a model of text strings. What is wrong with them comes
back as text with status 400.
"""

import argparse
import json
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from skdistill.deploy import load_onnx

#: Bytes of a request at most.
MAX_BYTES = 1 << 20


class Handler(BaseHTTPRequestHandler):
    """Answers requests of one connection; all of them share the model."""

    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds that a silent client may hold a thread

    def __init__(self, model, *args):
        self.model = model
        super().__init__(*args)

    def do_GET(self):
        """Say what the model is."""
        if self.path != "/model":
            return self.send(404, {"error": "Ask GET /model or POST /predict."})
        said = self.model.metadata_
        shown = ("kind", "classes", "feature_names", "versions", "report", "created")
        return self.send(200, {name: said[name] for name in shown})

    def do_POST(self):
        """Answer rows."""
        length = self.headers.get("Content-Length", "")
        n_bytes = int(length) if length.isdecimal() else 0
        if self.path != "/predict" or not 0 < n_bytes <= MAX_BYTES:
            self.close_connection = True  # the body is not read
            return self.send(
                400, {"error": f"Pass 1 to {MAX_BYTES} bytes of JSON to POST /predict."}
            )
        try:
            rows = json.loads(self.rfile.read(n_bytes))["rows"]
            P = self.model.predict_proba(rows)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return self.send(400, {"error": f"{type(error).__name__}: {error}"})
        labels = self.model.classes_[P.argmax(axis=1)]
        return self.send(200, {"labels": labels.tolist(), "probabilities": P.tolist()})

    def send(self, status, content):
        """Write one JSON object."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Stay silent: a line for each request costs more than its answer."""


def main():
    """Serve until interrupted; the port is printed once there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file that export_onnx wrote")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    options = parser.parse_args()
    handler = partial(Handler, load_onnx(options.path))
    with ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
