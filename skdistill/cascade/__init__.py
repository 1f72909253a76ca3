"""The student answers where it is safe, the teacher elsewhere."""

from skdistill.cascade._cascade import CascadeClassifier

__all__ = ["CascadeClassifier"]
