"""C source for students: one header, plain arrays and loops.

`_read` turns a fitted model into a program (`_program`), `_quantize` makes one of whole
numbers of it, `_reference` runs either in numpy, `_source` and its helpers write either
as C, and `_proof` compares the three.
"""

from skdistill.deploy._c._export import CSource, export_c

__all__ = ["CSource", "export_c"]
