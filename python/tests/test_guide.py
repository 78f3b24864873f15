"""The Python page of the guide runs as written."""

import os
import re
import tempfile
import unittest
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "python.md"


class Guide(unittest.TestCase):
    def test_every_block_runs(self) -> None:
        blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
        self.assertGreater(len(blocks), 0)
        names: dict = {}
        here = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                for block in blocks:
                    exec(compile(block, str(PAGE), "exec"), names)
            finally:
                os.chdir(here)


if __name__ == "__main__":
    unittest.main()
