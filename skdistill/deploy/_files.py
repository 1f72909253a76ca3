"""How a file comes into place."""

import os
import uuid
from pathlib import Path


def check_target(path):
    """Refuse a path that nothing can be written to, before the work is done.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.

    IsADirectoryError
        If it is a folder itself.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"The folder of path must exist, got {str(path)!r}. Create the folder "
            "first."
        )
    if path.is_dir():
        raise IsADirectoryError(
            f"path must be a file, got the folder {str(path)!r}. Add a file's name."
        )


def write_atomically(path, data):
    """Put bytes in place at once: a reader meets the old file or the whole new one.

    Parameters
    ----------
    path : str or path-like

    data : bytes
    """
    path = Path(path)
    draft = path.with_name(f".{uuid.uuid4().hex}.tmp")  # any name may be long
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
