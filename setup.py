"""The one part of the build that setup.cfg cannot say: the compiled XML scanner and reader of frames.

They are optional: without a compiler or Python's headers the installation succeeds, and Python (with expat)
does their work.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "rainbow_xmpp.xml._scan",
            ["rainbow_xmpp/xml/_scan.c"],
            depends=["rainbow_xmpp/xml/scanner.h"],
            extra_compile_args=["-O2", "-fno-strict-aliasing"],
            optional=True,
        ),
        Extension(
            "rainbow_xmpp.transport._frames",
            ["rainbow_xmpp/transport/_frames.c"],
            extra_compile_args=["-O2", "-fno-strict-aliasing"],
            optional=True,
        ),
    ]
)
