"""What a ChatTeacher costs beside the server: processor time a row, reading again."""

import tempfile
import time
from pathlib import Path

from .common import FAST

N_ROWS = 100 if FAST else 1_000
LABELS = ["good", "bad", "neither"]


class Chat:
    timeout = 600

    def setup(self):
        try:
            import openai  # noqa: F401
        except ImportError as error:
            raise NotImplementedError("needs the openai client") from error
        from benchmarks.chat import Server
        from skdistill.teachers import ChatTeacher

        self.folder = tempfile.TemporaryDirectory()
        log, path = (str(Path(self.folder.name, name)) for name in ("log", "db"))
        self.server = Server(log, seconds=0.01)
        self.teacher = ChatTeacher(
            "loopback", LABELS, base_url=self.server.url, path=path, n_orders=1
        )
        self.texts = [f"document {number}" for number in range(N_ROWS)]
        self.teacher.predict_proba(self.texts)

    def teardown(self):
        self.teacher.store_.close()
        self.server.__exit__()
        self.folder.cleanup()

    def time_predict_proba_known_rows(self):
        self.teacher.predict_proba(self.texts)

    def track_cpu_per_new_row(self):
        texts = [f"another {text}" for text in self.texts]
        start = time.process_time()
        self.teacher.predict_proba(texts)
        return (time.process_time() - start) / N_ROWS * 1e3

    track_cpu_per_new_row.unit = "ms"
    track_cpu_per_new_row.repeat = 1
