"""Turns the cases of the Autobahn test suite, which are written for Python 2, into a package that Python 3 imports.

    convert.py FROM TO

Python 2 wrote bytes as text. The cases keep doing so: a payload is text of code points below 256, and `fuzz.py` makes bytes of it where it goes
out. So nothing of a case is rewritten by hand but what stands in FIXES.
"""

import re
import shutil
import sys
from pathlib import Path

from fissix.refactor import RefactoringTool, get_fixers_from_package

# (files, what stands there, what is to stand there): each must be found.
FIXES = [
    # Imports within the package.
    ("*.py", r"^from case import (.*)$", r"from autobahntestsuite.case.case import \1"),
    ("case[0-9]*.py", r"^from (case\d\w*) import", r"from autobahntestsuite.case.\1 import"),
    ("__init__.py", r"^from (case\w*) import \*", r"from autobahntestsuite.case.\1 import *"),
    # An endless message that the suite leaves out itself; it is written for an interface that Twisted has no more.
    ("__init__.py", r"^from autobahntestsuite\.case\.case9_9_1 import \*$", ""),
    # `__all__` of this file leaves out what the others are made from.
    ("__init__.py", r"^(CaseSetname = .*)$", r"from autobahntestsuite.case.case import Case\n\n\1"),
    # Bytes as text, where Python 3 wants bytes.
    ("*.py", r"binascii\.b2a_hex\(", r"_hex("),
    ("case6_x_x.py", r"v\.validate\(vss\[:i\]\)", r"v.validate(vss[:i].encode('latin-1'))"),
    # A file beside the package, without the loader that setuptools has given up.
    ("case12_x_x.py", r"pkg_resources\.resource_filename\(.autobahntestsuite., ", r"_beside("),
    ("case12_x_x.py", r"import copy, os, pkg_resources, hashlib, binascii", "import copy, os, hashlib, binascii"),
    # `object` before its heir is no order of bases any more.
    ("case*.py", r"\(object, Case, \)", "(Case, )"),
    # A whole number of frames.
    ("case10_1_1.py", r"len\(self\.payload\) / ", "len(self.payload) // "),
    # Two lists are the same when they are equal, not when they are pickled alike, which depends on what in them is one object.
    ("case.py", r"pickle\.dumps\(obj1\) == pickle\.dumps\(obj2\)", "obj1 == obj2"),
]

HELPERS = '''
import binascii as _binascii
import os as _os

def _hex(text):
   return _binascii.b2a_hex(text.encode("latin-1") if isinstance(text, str) else text).decode()

def _beside(name):
   return _os.path.join(_os.path.dirname(_os.path.dirname(_os.path.abspath(__file__))), name)
'''


def convert(source: Path, target: Path) -> None:
    tool = RefactoringTool(sorted(get_fixers_from_package("fissix.fixes")))
    used = set()
    for file in sorted((source / "case").glob("*.py")):
        text = file.read_text("utf-8") + "\n"
        # It has no `print` of its own, and stands for nothing that is run.
        if file.name == "case6_x_x.py":
            text = re.split(r"^def test_utf8\(", text, flags=re.M)[0] + re.split(r"^(?=Case6_X_X = )", text, flags=re.M)[1]
            text = text.split("\nimport binascii\nimport array\n")[0] + "\n"
        for number, (files, what, instead) in enumerate(FIXES):
            if file.match(files):
                text, times = re.subn(what, instead, text, flags=re.M)
                if times:
                    used.add(number)
        # What stands there as a letter of two bytes was two.
        text = re.sub(r"[^\x00-\x7f]", lambda letter: "".join(f"\\x{byte:02x}" for byte in letter[0].encode()), text)
        text = str(tool.refactor_string(text, file.name))
        (target / "case" / file.name).write_text(HELPERS + text, "utf-8")
    for number, (files, what, _) in enumerate(FIXES):
        if number not in used:
            raise SystemExit(f"{what} is not in {files} any more")


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    (target / "case").mkdir(parents=True)
    (target / "__init__.py").write_text("")
    shutil.copytree(source / "testdata", target / "testdata")
    convert(source, target)
