# SPDX-License-Identifier: BSD-2-Clause
"""Certificates for tests, made by openssl(1) in a directory that goes away with the run."""

import os
import subprocess


def openssl(directory, *words):
    subprocess.run(["openssl", *words], cwd=directory, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """NAME.pem, and issue() for what it signs."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        os.makedirs(directory, exist_ok=True)
        openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")

    @property
    def path(self):
        return os.path.join(self.directory, self.name + ".pem")

    def issue(self, name):
        """(certificate, key), the key as PKCS#8, which Java's client wants."""
        openssl(self.directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}", "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:localhost")
        openssl(self.directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem",
                "-CAkey", f"{self.name}.key", "-CAcreateserial", "-days", "2", "-copy_extensions",
                "copy", "-out", f"{name}.pem")
        return (os.path.join(self.directory, name + ".pem"),
                os.path.join(self.directory, name + ".key"))
