"""The process may have as many connections as the system lets it."""

import subprocess
import sys

PROGRAM = """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from rainbow_xmpp.process import raise_file_limit
print(raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard)
"""


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
